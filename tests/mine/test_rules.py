"""Association rules: measures by hand, significance against SciPy, pruning, and mlxtend on real baskets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.mine.itemsets import Itemsets, frequent_itemsets
from fusionspark.mine.rules import association_rules
from fusionspark.mine.significance import benjamini_hochberg, fisher_greater, holm

BASKETS = [
    ["bread", "milk"],
    ["bread", "milk", "tea"],
    ["bread"],
    ["milk", "bread"],
    ["tea"],
    ["jam"],
    [],
    ["tea"],
]


def counted(baskets: list[list[str]]) -> Itemsets:
    counts: dict[tuple[str, ...], int] = {}
    for basket in baskets:
        items = sorted(set(basket))
        for size in range(1, len(items) + 1):
            for found in combinations(items, size):
                counts[found] = counts.get(found, 0) + 1
    return Itemsets(len(baskets), counts, 1, 1)


def everything(itemsets: Itemsets, **settings):
    wanted = {"min_confidence": 0.0, "max_antecedent": 9, "alpha": 1.0, "prune": False, **settings}
    return association_rules(itemsets, **wanted)


def test_measures_by_hand():
    found = {(r.antecedent, r.consequent): r for r in everything(counted(BASKETS)).rules}
    rule = found[("milk",), ("bread",)]
    # Of 8 baskets 4 have bread, 3 milk, and all 3 of these both.
    assert (rule.rows, rule.support, rule.confidence, rule.lift) == (3, 3 / 8, 1.0, 2.0)
    assert rule.leverage == pytest.approx(3 / 8 - 4 / 8 * 3 / 8)
    assert rule.conviction == np.inf
    assert rule.improvement == 0.5
    # Ways to draw 3 of the 4 with bread, over ways to draw 3 of 8.
    assert rule.p_value == pytest.approx(4 / 56)
    back = found[("bread",), ("milk",)]
    assert (back.confidence, back.lift, back.p_value) == (0.75, 2.0, rule.p_value)
    assert back.conviction == pytest.approx((1 - 3 / 8) / (1 - 0.75))


def test_a_rule_is_redundant_if_a_more_general_one_is_as_confident():
    baskets = [["a", "b", "c"]] * 3 + [["a", "c"]] * 3 + [["b"]] * 2 + [["d"]] * 4
    pruned = association_rules(counted(baskets), min_confidence=0.5, max_antecedent=3, alpha=1.0)
    sides = {(r.antecedent, r.consequent) for r in pruned.rules}
    assert (("a",), ("c",)) in sides
    assert (("a", "b"), ("c",)) not in sides, "a alone gives c as surely"
    assert pruned.redundant > 0
    assert all(r.improvement > 0 for r in pruned.rules)
    assert all(r.lift > 1 for r in pruned.rules), "the most general rule has no condition at all"


def test_rules_across_text_and_table_come_first():
    baskets = [["text: soft", "kind = sofa", "price > 9"]] * 6 + [["kind = lamp"]] * 6
    kinds = {"text: soft": "text", "kind = sofa": "table", "price > 9": "table", "kind = lamp": "table"}
    rules = association_rules(
        counted(baskets), min_confidence=0.1, max_antecedent=2, kind_of=kinds.__getitem__
    ).rules
    crossing = [r.crosses for r in rules]
    assert crossing == sorted(crossing, reverse=True)
    assert {(r.antecedent, r.consequent) for r in rules if r.crosses} == {
        (("text: soft",), ("kind = sofa",)),
        (("kind = sofa",), ("text: soft",)),
        (("text: soft",), ("price > 9",)),
        (("price > 9",), ("text: soft",)),
    }


def test_corrected_for_every_rule_that_was_tested():
    itemsets = counted(BASKETS)
    loose = everything(itemsets)
    confident = everything(itemsets, min_confidence=0.9)
    assert len(confident.rules) < len(loose.rules) == loose.tested == confident.tested
    q = {(r.antecedent, r.consequent): r.q_value for r in loose.rules}
    assert all(r.q_value == q[r.antecedent, r.consequent] for r in confident.rules)
    by_holm = everything(itemsets, correction="holm").rules
    assert all(r.q_value >= q[r.antecedent, r.consequent] for r in by_holm)
    with pytest.raises(ConfigError, match="did you mean 'holm'"):
        everything(itemsets, correction="holms")


@settings(max_examples=40)
@given(st.integers(1, 300), st.data())
def test_fishers_test_is_the_hypergeometric_tail(rows, data):
    from scipy.stats import hypergeom

    first, second = data.draw(st.integers(0, rows)), data.draw(st.integers(0, rows))
    both = data.draw(st.integers(max(0, first + second - rows), min(first, second)))
    found = fisher_greater(rows, [first], [second], [both])[0]
    assert found == pytest.approx(hypergeom.sf(both - 1, rows, first, second), rel=1e-8, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections(p):
    from scipy.stats import false_discovery_control

    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    adjusted = holm(p)
    assert (adjusted >= np.asarray(p)).all()
    assert (adjusted <= np.minimum(1, np.asarray(p) * len(p)) + 1e-12).all()


@pytest.mark.smoke
def test_too_many_itemsets_raise_the_support_and_say_so(spark):
    baskets = [["a", "b", "c", "d"]] * 4 + [["a", "b"]] * 8 + [[]]
    df = spark.createDataFrame([(b,) for b in baskets], "items array<string>").cache()
    whole = frequent_itemsets(df, min_support=0.01, min_rows=3, most=100, partitions=2)
    assert (whole.rows, whole.min_rows, len(whole.counts)) == (13, 3, 15)
    assert whole.counts[("a", "b")] == 12
    assert whole.counts[("c", "d")] == 4
    few = frequent_itemsets(df, min_support=0.01, min_rows=3, most=5, partitions=2)
    assert few.counts == {("a",): 12, ("b",): 12, ("a", "b"): 12}
    assert (few.asked_rows, few.min_rows) == (3, 5)
    with pytest.raises(DataContractError, match="there are none"):
        frequent_itemsets(df.limit(0), min_support=0.1, min_rows=1, most=5)


def test_no_rules_of_single_items():
    assert association_rules(Itemsets(5, {("a",): 5}, 1, 1), min_confidence=0, max_antecedent=2).rules == []
