import random

import pytest

from fusionspark.prepare.near_duplicates import FOUND, HASHES, bands_for, near_duplicate_groups

# fmt: off
WORDS = [
    "red", "blue", "cat", "dog", "ran", "sat", "slow", "fast", "hill", "mat", "moon", "bread", "barn",
    "river", "stone", "green", "glass", "paper",
]
# fmt: on


def sentence(seed: int, words: int = 40) -> str:
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) + str(pick.randrange(100)) for _ in range(words))


def groups_of(df, **settings) -> dict[str, str]:
    rows = near_duplicate_groups(df, **settings).collect()
    return {row["row_id"]: row["duplicate_group"] for row in rows}


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_a_pair_at_the_threshold_and_no_stricter_ones_would(similarity):
    bands, rows = bands_for(similarity)
    assert bands * rows <= HASHES
    assert 1 - (1 - similarity**rows) ** bands >= FOUND
    if rows < HASHES:
        assert 1 - (1 - similarity ** (rows + 1)) ** (HASHES // (rows + 1)) < FOUND


@pytest.mark.smoke
def test_groups_are_the_same_for_any_partitioning(spark):
    long = sentence(1)
    rows = [
        ("b", long),
        ("a", long + "!"),
        ("c", long.upper()),
        ("d", long + " and a little more"),
        ("e", sentence(2)),
        ("f", sentence(3)),
        ("g", None),
        ("h", None),
        ("i", "ok"),
        ("j", "OK"),
        ("k", "no"),
    ]
    expected = {**dict.fromkeys("abcd", "a"), "i": "i", "j": "i"}
    for order, partitions in ((rows, 1), (rows[::-1], 13)):
        df = spark.createDataFrame(order, "row_id string, clean_text string").repartition(partitions)
        assert groups_of(df) == expected


def test_nothing_comes_of_nothing(spark):
    df = spark.createDataFrame(
        [("a", None), ("b", "one"), ("c", sentence(4))], "row_id string, clean_text string"
    )
    assert groups_of(df) == {}
    assert groups_of(df.limit(0)) == {}


@pytest.mark.slow
def test_a_very_common_text_costs_a_comparison_a_row_and_pairs_are_those_of_brute_force(spark):
    common = sentence(5)
    rows = [(f"copy{i:04}", f"{common} {i}") for i in range(2000)] + [
        (f"x{i:03}", sentence(i + 10)) for i in range(200)
    ]
    pick = random.Random(0)
    for i in range(200):
        words = sentence(i + 10).split(" ")
        for _ in range(i % 12):
            words[pick.randrange(len(words))] = "changed"
        rows.append((f"y{i:03}", " ".join(words)))
    df = spark.createDataFrame(rows, "row_id string, clean_text string").repartition(4)
    found = groups_of(df)
    assert {found[f"copy{i:04}"] for i in range(2000)} == {"copy0000"}

    def shingles(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    texts = dict(rows)
    missed = wrong = similar = 0
    for i in range(200):
        a, b = shingles(texts[f"x{i:03}"]), shingles(texts[f"y{i:03}"])
        alike = len(a & b) / len(a | b) >= 0.8
        together = found.get(f"y{i:03}") == f"x{i:03}"
        similar += alike
        missed += alike and not together
        wrong += together and not alike
    assert similar > 50
    assert wrong == 0
    assert missed <= 0.02 * similar
