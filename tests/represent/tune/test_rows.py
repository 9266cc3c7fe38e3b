from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.represent.tune import rows as module
from fusionspark.represent.tune.rows import ListRows, ParquetRows, batch_count, batches


def _characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=50)
def test_every_row_comes_once_an_epoch_and_in_full_batches(lengths: list[int], size: int, epoch: int) -> None:
    rows = ListRows(["x" * n for n in lengths], [str(i) for i in range(len(lengths))])
    found = list(batches(rows, size, 42, epoch, _characters))
    assert sorted(int(label) for _, labels in found for label in labels) == list(range(len(lengths)))
    assert len(found) == batch_count(len(lengths), size)
    assert all(len(text) == lengths[int(label)] for pair in found for text, label in zip(*pair, strict=True))
    assert found == list(batches(rows, size, 42, epoch, _characters))


def test_epochs_differ_in_order() -> None:
    rows = ListRows(["x"] * 64, [str(i) for i in range(64)])
    assert list(batches(rows, 8, 42, 0, _characters)) != list(batches(rows, 8, 42, 1, _characters))


def test_a_batch_holds_texts_that_are_equally_long_by_the_measure_given() -> None:
    # By characters they are all alike: what is measured decides.
    tokens = {f"{i:03}": 5 if i % 2 else 90 for i in range(64)}
    rows = ListRows(list(tokens), ["a"] * len(tokens))
    found = list(batches(rows, 8, 42, 0, lambda texts: [tokens[text] for text in texts]))
    assert len(found) == 8
    assert all(len({tokens[text] for text in texts}) == 1 for texts, _ in found)


def test_parquet_is_streamed_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 16)
    for part, values in enumerate((range(25), range(25, 30), range(0))):
        table = pa.table({"text": [f"t{i}" for i in values], "target": [str(i) for i in values]})
        pq.write_table(table.cast(pa.schema([("text", pa.string()), ("target", pa.string())])),
                       tmp_path / f"part-{part}.parquet")  # fmt: skip
    rows = ParquetRows(str(tmp_path))
    assert len(rows) == 30
    found = list(batches(rows, 4, 1, 0, _characters))
    assert [len(texts) for texts, _ in found].count(4) == 7
    assert sorted(int(label) for _, labels in found for label in labels) == list(range(30))
    assert len(ParquetRows(str(tmp_path / "empty"))) == 0
