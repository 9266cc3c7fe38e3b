"""The contract: every kind of rule by hand, all in one job."""

from __future__ import annotations

import pytest

from fusionspark.cli import _broken
from fusionspark.collect import collect
from fusionspark.config import Columns, Contract
from fusionspark.contract.check import check_rows, check_schema, raise_where_broken
from fusionspark.contract.rules import at
from fusionspark.errors import DataContractError

DATE = "2026-01-31"


@pytest.fixture(scope="module")
def people(spark):
    rows = [
        ("a", "31", 1.5, "x", "2026-01-30", "Ann"),
        ("b", "x1", 2.0, "y", "2026-01-29", "bob"),
        ("c", " ", float("nan"), "z", None, "Cid"),
        ("d", "200", 3.0, None, "2026-01-01", "Dan"),
        ("d", "4.5", 9.0, "x", "nonsense", None),
    ]
    schema = "id string, age string, score double, kind string, day string, name string"
    return spark.createDataFrame(rows, schema).cache()


def found(df, contract: dict, **more) -> dict:
    findings = check_rows(df, Contract.model_validate(contract), DATE, key=at("id"), **more)
    return {(one.rule, one.column): one for one in findings}


@pytest.mark.smoke
def test_every_rule_by_hand_in_one_job(spark, people):
    people.count()
    contract = {
        "columns": {
            "age": {"type": "int", "min": 18, "max": 120, "null_share": 0.1},
            "score": {"max": 3, "null_share": 0.2},
            "kind": {"allowed": ["x", "y"]},
            "name": {"pattern": "^[A-Z]"},
            "id": {"unique": True},
        },
        "unique": [["id", "kind"]],
        "rows": {"min": 6},
        "freshness": {"column": "day", "days": 2},
    }
    spark.sparkContext.setJobGroup("contract", "one pass")
    told = check_rows(people.where("score < 9"), Contract.model_validate(contract), DATE)
    # `unique` holds over these rows, so that no second job looks for examples.
    assert len(spark.sparkContext.statusTracker().getJobIdsForGroup("contract")) == 1
    spark.sparkContext._jsc.clearJobGroup()
    assert len(told) == 12
    got = found(people, contract)
    age = got["type", "age"]
    assert (age.rows, age.kept, age.examples) == (2, False, ("4.5 (row d)", "x1 (row b)"))
    assert (got["max", "age"].rows, got["max", "age"].examples) == (1, ("200 (row d)",))
    assert got["min", "age"].kept
    assert (got["null share", "age"].rows, got["null share", "age"].kept) == (1, False)
    assert (got["null share", "score"].rows, got["null share", "score"].kept) == (1, True), "NaN is missing"
    assert got["max", "score"].found == "1 of 5 rows (20.00%)"
    assert got["allowed", "kind"].examples == ("z (row c)",), "null breaks no list of values"
    assert got["pattern", "name"].examples == ("bob (row b)",)
    assert (got["unique", "id"].rows, got["unique", "id"].examples) == (1, ("d (2 rows)",))
    assert got["unique", "id, kind"].kept, "a null belongs to no pair"
    assert (got["rows", ""].found, got["rows", ""].kept) == ("5", False)
    assert (got["freshness", "day"].found, got["freshness", "day"].kept) == (
        "1 days old on 2026-01-31 (2026-01-30)", True,
    )  # fmt: skip
    assert ("rows", "") not in found(people, contract, scoring=True)


def test_a_broken_contract_ends_with_3_and_a_table_of_all_findings(people):
    got = found(people, {"columns": {"kind": {"allowed": ["x"]}}, "rows": {"max": 3}})
    with pytest.raises(DataContractError) as caught:
        raise_where_broken(list(got.values()), "'p.csv'")
    assert caught.value.exit_code == 3
    assert "allowed of 'kind' is 2 of 5 rows (40.00%), allowed x" in str(caught.value)
    assert [one["rule"] for one in caught.value.findings] == ["allowed", "rows"]
    table = _broken(caught.value.findings)
    cells = [[str(cell) for cell in column._cells] for column in table.columns]
    assert cells[2:] == [
        ["2", "5"], ["2 of 5 rows (40.00%)", "5"], ["x", "1 to 3"], ["y (row b); z (row c)", ""],
    ]  # fmt: skip
    raise_where_broken([], "'p.csv'")


def test_failed_casts_and_what_the_tolerance_lets_through_go_to_quarantine(people):
    contract = Contract.model_validate(
        {
            "columns": {
                "age": {"type": "int"},
                "kind": {"allowed": ["x", "y"], "tolerance": 0.3},
                "score": {"type": "int"},
            },
            "cast_tolerance": 0.5,
        }
    )
    raise_where_broken(check_rows(people, contract, DATE), "p")
    collected = collect(people, Columns.model_validate({"numeric": ["score"], "categorical": ["age"]}),
                        contract=contract)  # fmt: skip
    reasons = sorted(row["reason"] for row in collected.quarantine.collect())
    assert reasons == [
        "contract: allowed of kind (allowed: x, y)",
        "contract: type of age (allowed: int)",
        "contract: type of age (allowed: int)",
        "contract: type of score (allowed: int)",
    ]
    # 1.5 is no whole number; 200 passes as itself.
    assert [row["age"] for row in collected.rows.collect()] == ["200"]


def test_columns_that_are_gone_or_have_no_cast_are_named_without_a_job(spark, people):
    contract = Contract.model_validate(
        {
            "columns": {"agee": {}, "gone": {"required": False}, "kind": {"type": "string"}, "y": {}},
            "freshness": {"column": "dai"},
        }
    )
    with pytest.raises(DataContractError) as caught:
        check_schema(people, contract, "'p'", label="y")
    assert [(one["column"], one["found"]) for one in caught.value.findings] == [
        ("agee", "no such column, did you mean 'age'?"), ("dai", "no such column, did you mean 'day'?"),
    ]  # fmt: skip
    lists = spark.sql("SELECT array(1) AS n")
    with pytest.raises(DataContractError, match="array<int>, which has no cast to it, allowed int"):
        check_schema(lists, Contract.model_validate({"columns": {"n": {"type": "int"}}}), "p")


def test_no_contract_costs_no_job_and_an_empty_source_is_no_error(spark, people):
    spark.sparkContext.setJobGroup("none", "no contract")
    assert check_rows(people, Contract(), DATE) == []
    assert spark.sparkContext.statusTracker().getJobIdsForGroup("none") == []
    spark.sparkContext._jsc.clearJobGroup()
    got = found(people.where("false"), {"columns": {"age": {"type": "int", "unique": True}},
                                        "freshness": {"column": "day"}})  # fmt: skip
    assert [one.kept for one in got.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"min": 3, "max": 2}, "min 3 is above max 2"),
        ({"type": "date", "min": 3}, "3 is no date"),
        ({"type": "string", "min": 3}, "has no range"),
        ({"min": "a"}, "'a' is text"),
        ({"kind": "int"}, "kind"),
        ({"type": "integer"}, "'int'"),
    ],
)
def test_rules_that_no_value_could_pass_are_refused(rules, said):
    with pytest.raises(ValueError, match=said):
        Contract.model_validate({"columns": {"a": rules}})
