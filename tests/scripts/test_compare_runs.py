"""Two runs are equal or the first differences are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compare_runs

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)
SCHEMA = pa.schema(
    [
        ("row_id", pa.string()),
        ("algorithm", pa.string()),
        ("n", pa.int32()),
        ("embedding", pa.list_(pa.float32())),
        ("features", VECTOR),
        ("scores", pa.map_(pa.string(), pa.float64())),
    ]
)


def row(row_id: str, **changes: Any) -> dict[str, Any]:
    dense = {"type": 1, "size": None, "indices": None, "values": [0.0, 2.0]}
    plain = {
        "algorithm": "svm",
        "n": 1,
        "embedding": [0.5, -0.25],
        "features": dense,
        "scores": [("a", 0.75), ("b", 0.25)],
    }
    return {"row_id": row_id, **plain, **changes}


def differences(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> list[str]:
    tables = [pa.Table.from_pylist(rows, schema=SCHEMA) for rows in (a, b)]
    return compare_runs.table_differences(*tables, tolerance=1e-5)


def test_order_of_rows_and_of_map_entries_does_not_matter() -> None:
    other = row("2", scores=[("b", 0.25), ("a", 0.75)])
    assert differences([row("1"), row("2")], [other, row("1")]) == []


def test_sparse_and_dense_forms_of_one_vector_are_equal() -> None:
    sparse = {"type": 0, "size": 2, "indices": [1], "values": [2.0]}
    assert differences([row("1")], [row("1", features=sparse)]) == []
    longer = {**sparse, "size": 3}
    assert len(differences([row("1")], [row("1", features=longer)])) == 1
    moved = {**sparse, "indices": [0]}
    assert len(differences([row("1")], [row("1", features=moved)])) == 1


@pytest.mark.parametrize("column", ["embedding", "features", "scores"])
def test_numbers_may_differ_by_the_tolerance_and_no_more(column: str) -> None:
    def shifted(by: float) -> dict[str, Any]:
        value = {
            "embedding": [0.5, -0.25 + by],
            "features": {"type": 1, "size": None, "indices": None, "values": [0.0, 2.0 + by]},
            "scores": [("a", 0.75 + by), ("b", 0.25)],
        }[column]
        return row("1", **{column: value})

    assert differences([row("1")], [shifted(5e-6)]) == []
    assert column in differences([row("1")], [shifted(5e-5)])[0]


def test_everything_else_must_be_equal() -> None:
    assert differences([row("1")], [row("1", n=2)]) == ["row ('1', 'svm'), column 'n': 1 and 2"]
    assert len(differences([row("1")], [row("1", embedding=None)])) == 1
    assert differences([row("1", embedding=None)], [row("1", embedding=None)]) == []
    assert len(differences([row("1")], [row("1", embedding=[0.5])])) == 1


def test_missing_and_doubled_rows_are_named() -> None:
    assert differences([row("1")], [row("2")]) == [
        "row ('1', 'svm') is in the first only",
        "row ('2', 'svm') is in the second only",
    ]
    assert differences([row("1"), row("1")], [row("1")]) == ["row ('1', 'svm') is in the first only"]
    assert differences([row("1")], [row("1", algorithm="mlp")])[0] == "row ('1', 'mlp') is in the second only"


def test_columns_and_types_come_first() -> None:
    a = pa.table({"row_id": ["1"], "x": pa.array([1], pa.int32())})
    b = pa.table({"row_id": ["1"], "x": pa.array([1], pa.int64())})
    assert compare_runs.table_differences(a, b, 1e-5) == ["column 'x': int32 and int64"]
    assert "['x'] are in one only" in compare_runs.table_differences(a, b.drop_columns(["x"]), 1e-5)[0]


def test_nan_and_infinity() -> None:
    nan, inf = float("nan"), float("inf")
    assert compare_runs.close(nan, nan, 1e-5)
    assert compare_runs.close(inf, inf, 1e-5)
    assert not compare_runs.close(nan, 0.0, 1e-5)
    assert not compare_runs.close(inf, -inf, 1e-5)
    assert not compare_runs.close(inf, 1.0, 1e-5)


def test_run_json_without_what_differs_by_nature() -> None:
    a = {"seconds": 1.0, "rows": {"in": 5}, "stages": [{"name": "mine", "seconds": 2}], "best": "svm"}
    b = {"seconds": 9.0, "rows": {"in": 5}, "stages": [{"name": "mine", "seconds": 7}], "best": "svm"}
    assert compare_runs.json_differences(a, b, 1e-5) == []
    assert compare_runs.json_differences(a, {**b, "rows": {"in": 6}}, 1e-5) == ["run.json.rows.in: 5 and 6"]
    assert compare_runs.json_differences(a, {**b, "more": 1}, 1e-5) == ["run.json.more: in one only"]


def write_run(folder: Path, rows: list[dict[str, Any]], facts: dict[str, Any]) -> Path:
    (folder / "predictions").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "predictions" / "part-0.parquet")
    (folder / "predictions" / "_SUCCESS").touch()
    # A saved model is no table.
    (folder / "models" / "svm" / "data").mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), folder / "models" / "svm" / "data" / "part-0.parquet")
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", [row("1")], {"rows": {"in": 1}})
    b = write_run(tmp_path / "b", [row("1")], {"rows": {"in": 1}})
    c = write_run(tmp_path / "c", [row("1", n=3)], {"rows": {"in": 1}})
    assert compare_runs.main([str(a), str(b)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["predictions", "run.json"]
    assert compare_runs.main([str(a), str(c)]) == 1
    assert "column 'n': 1 and 3" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="nothing there to compare"):
        compare_runs.main([str(a), str(tmp_path)])


def test_a_table_in_one_run_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", [row("1")], {})
    b = write_run(tmp_path / "b", [row("1")], {})
    (b / "clusters").mkdir()
    pq.write_table(pa.table({"row_id": ["1"]}), b / "clusters" / "part-0.parquet")
    assert compare_runs.main([str(a), str(b)]) == 1
    assert "clusters: in one run only" in capsys.readouterr().out


def write_batch(folder: Path, rows: list[dict[str, Any]], batch: int) -> Path:
    (folder / "predictions").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "predictions" / "part-0.parquet")
    (folder / "batch.json").write_text(json.dumps({"batch": batch}), encoding="utf-8")
    return folder


def test_all_batches_of_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, last in (("a", row("2")), ("b", row("2")), ("c", row("2", n=3)), ("d", None)):
        write_batch(tmp_path / name / "batches" / "0", [row("1")], 0)
        if last:
            write_batch(tmp_path / name / "batches" / "1", [last], 1)
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    assert compare_runs.main([a, b]) == 0
    assert compare_runs.main([a, c]) == 1
    assert "column 'n': 1 and 3" in capsys.readouterr().out
    assert compare_runs.main([a, d]) == 1
    assert "batches/1/batch.json: in one only" in capsys.readouterr().out


def write_tuned(folder: Path, weights: list[float]) -> str:
    place = folder / "label-0123"
    place.mkdir(parents=True)
    save_file({"w": np.array(weights, "float32")}, place / "model.safetensors")
    (place / "tuned.json").write_text(json.dumps({"rows": 5, "seconds": len(str(folder))}), encoding="utf-8")
    return str(folder)


def test_weights_of_tuned_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, near = write_tuned(tmp_path / "a", [1.0, 2.0]), write_tuned(tmp_path / "near", [1.0, 2.000001])
    far, longer = write_tuned(tmp_path / "far", [1.0, 2.5]), write_tuned(tmp_path / "longer", [1.0, 2.0, 3.0])
    assert compare_runs.main([a, near]) == 0
    assert compare_runs.main([a, far]) == 1
    assert "w: up to 0.5 apart" in capsys.readouterr().out
    assert compare_runs.main([a, longer]) == 1
    assert "w: (2,) and (3,)" in capsys.readouterr().out
