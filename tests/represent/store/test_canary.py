import json

import numpy as np

from fusionspark.represent.loading import EngineSettings
from fusionspark.represent.store.canary import CANARIES, Canary, canary_file
from fusionspark.represent.store.space import Space, text_space


def test_distance_by_hand():
    first = Canary(np.array([[3.0, 4.0], [0.0, 1.0]], dtype=np.float32))
    assert first.distance(np.array([[3.0, 4.0], [0.0, 1.0]], dtype=np.float32)) == 0.0
    assert first.distance(np.array([[3.0, 3.0], [0.0, 1.0]], dtype=np.float32)) == 0.2
    assert first.distance(np.array([[6.0, 8.0], [0.0, 1.0]], dtype=np.float32)) == 1.0, "length counts"
    assert first.distance(np.zeros((2, 3), dtype=np.float32)) == float("inf"), "another dimension"
    assert first.distance(np.array([[3.0, 4.0], [np.nan, 1.0]], dtype=np.float32)) == float("inf")


def test_a_text_that_never_had_a_vector_is_no_drift():
    canary = Canary.from_dict(json.loads(json.dumps({"dimension": 2, "vectors": [[1.0, 0.0], None]})))
    assert canary.to_dict()["vectors"] == [[1.0, 0.0], None]
    assert canary.distance(np.array([[1.0, 0.0], [np.nan, np.nan]], dtype=np.float32)) == 0.0
    assert canary.distance(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)) == float("inf")


def test_canaries_are_english_and_chinese_short_and_long():
    chinese = [text for text in CANARIES if any("\u4e00" <= letter <= "\u9fff" for letter in text)]
    assert 2 <= len(chinese) < len(CANARIES)
    assert min(map(len, chinese)) == 1
    assert max(map(len, CANARIES)) > 300
    assert canary_file().startswith("canary-")


def test_a_space_is_everything_that_makes_a_vector():
    def digest(precision="float32", max_tokens=0, model="m", preparation=1, dtype="float32"):
        settings = EngineSettings(model=model, precision=precision, max_tokens=max_tokens, token_budget=99)
        return text_space(settings, "d1", preparation=preparation, dtype=dtype).digest()

    same = digest()
    assert digest(model="the same files elsewhere") == same
    others = [
        digest("float16"), digest(max_tokens=64), digest(preparation=2), digest(dtype="int8"),
        Space("d2", "float32", preparation=1).digest(),
        Space("d1", "float32", preparation=1, content="image").digest(),
    ]  # fmt: skip
    assert len({same, *others}) == 1 + len(others)


def test_a_space_reads_what_it_wrote_and_what_a_later_version_adds():
    space = Space("d1", "int8", prompt="query: ", normalize=True)
    told = json.loads(json.dumps({**space.to_dict(), "model": "m", "added_later": 1}))
    assert Space.from_dict(told) == space
    assert told["digest"].startswith(space.folder.removeprefix("space="))
