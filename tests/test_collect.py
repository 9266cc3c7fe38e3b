import json

import pytest
from pyspark.sql import functions as F

from fusionspark.collect import check_columns, collect, derive, open_as_is, read_source
from fusionspark.config import Columns, Source
from fusionspark.errors import ConfigError

pytestmark = pytest.mark.smoke


def run(df, **columns):
    found = collect(df, Columns.model_validate(columns))
    rows = {r["row_id"]: r for r in found.rows.collect()}
    bad = {r["row_id"]: r for r in found.quarantine.collect()}
    assert len(rows) + len(bad) == df.count(), "rows in = rows out + rows quarantined"
    return rows, bad


def test_each_kind_of_bad_row_goes_to_quarantine_with_its_reason(spark):
    rows = [
        ("a", "good", "1.5", "x", "2020-01-02"),
        ("b", "no number", "1,5", "x", "2020-01-02"),
        ("c", "infinite", "Infinity", "x", "2020-01-02"),
        ("d", "no date", "2", "x", "yesterday"),
        (None, "no key", "2", "x", "2020-01-02"),
        ("  ", "blank key", "2", "x", "2020-01-02"),
        ("e", None, None, None, None),
        ("f", "  ", " ", "", "2020-01-02 10:00:00"),
        ("g", "missing number", "NaN", "y", "2020-01-02"),
    ]
    df = spark.createDataFrame(rows, "id string, t string, n string, c string, d string")
    rows, bad = run(df, key="id", text="t", numeric="n", categorical="c", date="d")
    reasons = sorted(r["reason"] for r in bad.values())
    assert reasons == ["not a date: d", "not a number: n", "not finite: n", "null key", "null key"]
    assert bad["b"]["stage"] == "collect"
    assert '"n":"1,5"' in bad["b"]["input"]
    assert rows["a"]["n"] == 1.5
    assert rows["e"]["text"] is None
    assert rows["f"]["n"] is None
    assert rows["f"]["c"] is None
    assert rows["g"]["n"] is None


def test_of_rows_with_one_key_the_same_one_stays_whatever_the_order(spark):
    rows = [("k", f"text {i}") for i in range(5)] + [("other", "x")]
    kept = []
    for order in (rows, rows[::-1]):
        df = spark.createDataFrame(order, "id string, t string").repartition(3)
        good, bad = run(df, key="id", text="t")
        kept.append(good["k"]["text"])
        assert sorted(bad) == ["k#2", "k#3", "k#4", "k#5"]
        assert {r["reason"] for r in bad.values()} == {"duplicate key"}
    assert kept[0] == kept[1]


def test_key_of_several_columns_cannot_be_confused(spark):
    df = spark.createDataFrame([("a|b", "c", "1"), ("a", "b|c", "2")], "x string, y string, t string")
    rows, bad = run(df, key=["x", "y"], text="t")
    assert sorted(rows) == ["a\\|b|c", "a|b\\|c"]
    assert not bad


def test_without_a_key_equal_rows_are_numbered_and_none_is_lost(spark):
    df = spark.createDataFrame([("same",), ("same",), ("other",)], "t string")
    rows, bad = run(df, text="t")
    assert len(rows) == 3
    assert not bad
    assert sorted(r.rsplit("-", 1)[1] for r in rows) == ["1", "1", "2"]


def test_texts_are_joined_and_a_missing_one_keeps_its_place(spark):
    df = spark.createDataFrame(
        [("1", None, "b"), ("2", "a", "b"), ("3", "", None)], "id string, x string, y string"
    )
    rows, _ = run(df, key="id", text=["x", "y"])
    assert [rows[i]["text"] for i in "123"] == ["\n\nb", "a\n\nb", None]


def test_bytes_that_are_not_utf8_are_quarantined_not_fatal(spark, tmp_path):
    df = spark.createDataFrame([("1", "6f6b"), ("2", "ff6b"), ("3", "e4bda0")], "id string, h string")
    # The optimiser would fold the cast away in memory; a file is what a user has.
    df.select("id", F.unhex("h").alias("b")).selectExpr("id", "cast(b as string) t").write.parquet(
        str(tmp_path / "p")
    )
    rows, bad = run(spark.read.parquet(str(tmp_path / "p")), key="id", text="t")
    assert {i: r["text"] for i, r in rows.items()} == {"1": "ok", "3": "你"}
    assert bad["2"]["reason"] == "not UTF-8: t"


def test_empty_frame_gives_two_empty_frames(spark):
    rows, bad = run(
        spark.createDataFrame([], "id string, t string, n double"), key="id", text="t", numeric="n"
    )
    assert rows == bad == {}


def test_numbers_of_any_width_booleans_and_labels(spark):
    df = spark.createDataFrame([(1, 2, True, 5)], "id bigint, i int, b boolean, y int")
    rows, _ = run(df, key="id", numeric=["i", "b"], label="y")
    assert (rows["1"]["i"], rows["1"]["b"], rows["1"]["label"]) == (2.0, 1.0, "5")


def test_a_missing_column_is_named_with_the_nearest(spark):
    df = spark.createDataFrame([("1", "x")], "id string, review string")
    with pytest.raises(ConfigError, match=r"no column 'reveiw', did you mean 'review'\?"):
        check_columns(df, Columns(text=["reveiw"]), "t.parquet")


def test_a_column_of_another_type_is_named(spark):
    df = spark.createDataFrame([("1", ["x"])], "id string, review array<string>")
    with pytest.raises(ConfigError, match=r"'review' of t.parquet is array<string>. Allowed: string"):
        check_columns(df, Columns(text=["review"]), "t.parquet")


def test_label_may_be_absent_where_new_rows_are_scored(spark):
    df = spark.createDataFrame([("1", "x")], "id string, t string")
    columns = Columns(key=["id"], text=["t"], label="y")
    with pytest.raises(ConfigError, match=r"columns\.label"):
        check_columns(df, columns, "t.parquet")
    check_columns(df, columns, "t.parquet", need_label=False)
    assert collect(df, columns).rows.collect()[0]["label"] is None


def test_source_that_is_not_there_or_not_of_its_format(spark, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        read_source(spark, Source(path=str(tmp_path / "nowhere.parquet")))
    (tmp_path / "no.parquet").write_text("this is no parquet")
    with pytest.raises(ConfigError, match=r"no\.parquet"):
        read_source(spark, Source(path=str(tmp_path / "no.parquet")))
    with pytest.raises(ConfigError, match="martian"):
        read_source(spark, Source(format="martian", path=str(tmp_path)))


def test_csv_with_quotes_line_breaks_derived_columns_and_a_condition(spark, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('id,note,n\n1,"He said ""hi""\nand left",2\n2,plain,3\n')
    source = Source(format="csv", path=str(file), derive={"twice": "n * 2"}, where="id = 1")
    rows = read_source(spark, source).collect()
    assert [(r["note"], r["twice"]) for r in rows] == [('He said "hi"\nand left', 4.0)]
    with pytest.raises(ConfigError, match=r"source\.derive\.twice.*nope"):
        read_source(spark, source.model_copy(update={"derive": {"twice": "nope * 2"}}))
    with pytest.raises(ConfigError, match=r"source\.where"):
        read_source(spark, source.model_copy(update={"where": "nope = 1"}))


def test_rows_collected_before_count_as_earlier_rows(spark):
    taken = spark.sql("SELECT 'a' AS row_id")
    df = spark.createDataFrame([("a", "x"), ("a", "y"), ("b", "x")], "id string, text string")
    found = collect(df, Columns(key=["id"], text=["text"]), taken=taken)
    assert [row["row_id"] for row in found.rows.collect()] == ["b"]
    assert sorted(row["row_id"] for row in found.quarantine.collect()) == ["a#2", "a#3"]
    without_key = Columns(text=["text"])
    first = collect(df, without_key).rows
    again = [row["row_id"] for row in collect(df, without_key, taken=first).rows.collect()]
    assert sorted(row_id[-2:] for row_id in again) == ["-2", "-2", "-2"]


def test_a_quarantined_row_is_kept_as_the_source_has_it(spark, tmp_path):
    spark.sql("SELECT 'a' AS id, 'oops' AS n").write.parquet(str(tmp_path / "in"))
    source = Source(path=str(tmp_path / "in"), derive={"n": "concat(n, '!')", "m": "1"})
    df = derive(open_as_is(spark, source), source, keep=True)
    bad = collect(df, Columns(key=["id"], numeric=["n"])).quarantine.collect()[0]
    assert (bad["reason"], json.loads(bad["input"])) == ("not a number: n", {"id": "a", "n": "oops", "m": 1})
