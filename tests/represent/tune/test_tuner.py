from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.tune.settings import TuneSettings

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

FILLERS = "the a sat on mat and ran over hill".split()  # noqa: SIM905


def planted(rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Eight words each, among them cat or dog, which is the label."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(rows):
        words = list(rng.choice(FILLERS, size=7))
        words.insert(int(rng.integers(8)), ("cat", "dog")[i % 2])
        texts.append(" ".join(words))
        labels.append(("cat", "dog")[i % 2])
    return texts, labels


def settings(model: Path, **changes: Any) -> TuneSettings:
    few: dict[str, Any] = {"epochs": 20, "patience": 20, "batch_size": 16, "precision": "float32", "rank": 4}
    few |= {"learning_rate": 0.005}
    return TuneSettings(str(model), **{**few, **changes})


def tune(folder: Path, chosen: TuneSettings, rows: int = 96, **options: Any) -> dict[str, Any]:
    from fusionspark.represent.tune.tuner import tune_encoder

    return tune_encoder(*planted(rows), folder, chosen, threads=1, **options)


def vectors(model: Path, texts: list[str]) -> np.ndarray:
    from fusionspark.represent.loading import EngineSettings, build_engine

    return build_engine(EngineSettings(model=str(model))).encode(texts).embeddings


def accuracy(model: Path) -> float:
    """Of a nearest class mean, the means from rows that the tuning saw, on rows that it did not."""
    (texts, labels), (new, truth) = planted(96), planted(60, seed=1)
    known, found = vectors(model, texts), vectors(model, new)
    names = np.array(labels)
    means = np.stack([known[names == name].mean(axis=0) for name in ("cat", "dog")])
    nearest = ((found[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return float(np.mean(np.array(["cat", "dog"])[nearest] == truth))


@pytest.mark.parametrize("method", ["lora", "all"])
def test_tuned_vectors_part_the_classes_on_rows_never_seen(
    tiny_bert: Path, tmp_path: Path, method: str
) -> None:
    if method == "lora":
        pytest.importorskip("peft")
    lines: list[str] = []
    rate = 0.02 if method == "lora" else 0.005
    chosen = settings(tiny_bert, method=method, learning_rate=rate)
    facts = tune(tmp_path / "tuned", chosen, validation=planted(40, 2), say=lines.append)
    assert accuracy(tiny_bert) < 0.85
    assert accuracy(tmp_path / "tuned") >= 0.95
    assert facts["scores"]["validation_loss"] < facts["scores"]["validation_loss_untuned"]
    assert (facts["rows"], facts["validation_rows"], facts["labels"]) == (96, 40, ["cat", "dog"])
    assert any(line.startswith("epoch 1: step 6") for line in lines)
    assert json.loads((tmp_path / "tuned" / "tuned.json").read_text()) == facts


def test_the_folder_is_a_model_of_its_own(tiny_bert: Path, tmp_path: Path) -> None:
    from fusionspark.represent.model_source import model_digest

    facts = tune(tmp_path / "tuned", settings(tiny_bert, method="all", max_steps=2))
    assert facts["steps"] == 2
    assert facts["digest"] == model_digest(str(tmp_path / "tuned"))
    assert facts["base_digest"] == model_digest(str(tiny_bert)) != facts["digest"]
    unit = np.linalg.norm(vectors(tmp_path / "tuned", ["the cat sat"]), axis=1)
    assert unit == pytest.approx(1.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tuned"]


def test_merged_weights_give_the_vectors_that_were_trained(tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from fusionspark.represent.tune.objective import Classes
    from fusionspark.represent.tune.rows import ListRows
    from fusionspark.represent.tune.training import Trainer

    rows = ListRows(*planted(48))
    trainer = Trainer(
        settings(tiny_bert, epochs=1), Classes(("cat", "dog")), rows, ListRows([], []), tmp_path / "state"
    )
    trainer.run()
    texts = rows.texts[:5]
    trainer.encoder.train(False)
    trained = trainer.encoder.embed(texts).detach().numpy()
    assert np.abs(trained - vectors(tiny_bert, list(texts))).max() > 0.01
    tune(tmp_path / "tuned", settings(tiny_bert, epochs=1), rows=48)
    assert vectors(tmp_path / "tuned", list(texts)) == pytest.approx(trained, abs=1e-5)


def test_the_result_lies_between_the_base_and_the_tuned_weights(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    chosen = {"method": "all", "epochs": 1}
    tune(tmp_path / "whole", settings(tiny_bert, **chosen))
    facts = tune(tmp_path / "mixed", settings(tiny_bert, **chosen, mixing=0.25))
    assert facts["mixing"] == 0.25
    base, whole, mixed = (
        load_file(str(next(folder.rglob("model.safetensors"))))
        for folder in (tiny_bert, tmp_path / "whole", tmp_path / "mixed")
    )
    assert any((base[name] != whole[name]).any() for name in base)
    for name, weight in mixed.items():
        assert weight == pytest.approx(0.75 * base[name] + 0.25 * whole[name], abs=1e-6), name


class Killed(BaseException):
    pass


def test_a_killed_tuning_goes_on_and_ends_with_the_same_model(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionspark.represent.tune.training import Trainer

    chosen = settings(tiny_bert, method="all", epochs=2, checkpoint_steps=2)
    validation = planted(20, 2)
    whole = tune(tmp_path / "whole", chosen, validation=validation)
    step = Trainer._step

    def dying(self: Trainer, batch: Any) -> float:
        if self.progress.step == 9:
            raise Killed
        return step(self, batch)

    monkeypatch.setattr(Trainer, "_step", dying)
    with pytest.raises(Killed):
        tune(tmp_path / "killed", chosen, validation=validation)
    monkeypatch.setattr(Trainer, "_step", step)
    lines: list[str] = []
    again = tune(tmp_path / "killed", chosen, validation=validation, say=lines.append)
    assert lines[0] == "going on after step 8"
    assert (again["digest"], again["starts"], whole["starts"]) == (whole["digest"], 2, 1)


def test_done_is_done_and_another_tuning_needs_another_folder(tiny_bert: Path, tmp_path: Path) -> None:
    chosen = settings(tiny_bert, method="all", max_steps=1)
    first = tune(tmp_path / "tuned", chosen)
    lines: list[str] = []
    assert tune(tmp_path / "tuned", chosen, say=lines.append) == first
    assert not lines
    with pytest.raises(ConfigError, match="holds something else than the result of this tuning"):
        tune(tmp_path / "tuned", settings(tiny_bert, method="all", max_steps=2))


def test_the_clock_ends_a_tuning(tiny_bert: Path, tmp_path: Path) -> None:
    facts = tune(tmp_path / "tuned", settings(tiny_bert, method="all", epochs=10_000, max_minutes=0.02))
    assert 1 <= facts["steps"] < 60_000
    assert facts["seconds"] < 30


def test_a_number_is_learnt(tiny_bert: Path, tmp_path: Path) -> None:
    from fusionspark.represent.tune.tuner import tune_encoder

    texts, labels = planted(96)
    numbers = [3.0 if label == "cat" else 5.0 for label in labels]
    facts = tune_encoder(
        texts, numbers, tmp_path / "tuned", settings(tiny_bert, method="all"), kind="number", threads=1
    )
    assert (facts["mean"], facts["deviation"]) == (4.0, 1.0)
    assert facts["scores"]["train_loss"] < 0.5  # of a variance of 1


def test_what_cannot_be_tuned(tiny_bert: Path, tmp_path: Path) -> None:
    from fusionspark.represent.tune.tuner import tune_encoder

    with pytest.raises(DataContractError, match="rows for tuning: there are none"):
        tune_encoder([], [], tmp_path / "m", settings(tiny_bert))
    with pytest.raises(DataContractError, match=r"1 class\(es\): a"):
        tune_encoder(["x", "y"], ["a", "a"], tmp_path / "m", settings(tiny_bert))
    with pytest.raises(ConfigError, match=r"tune\.method: is 'half'"):
        settings(tiny_bert, method="half")
    with pytest.raises(ConfigError, match=r"tune\.epochs: is 0"):
        settings(tiny_bert, epochs=0)
