"""Vision networks of plain torch, as exported programs."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from fusionspark.errors import ConfigError
from fusionspark.represent.device import Device
from fusionspark.represent.image_encoder import build_image_engine, image_model_digest

CPU = Device("cpu", 1)


def red(value):
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new("RGB", (9, 5), (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def exported(folder, channels_only, dynamic=True):
    torch = pytest.importorskip("torch")

    class Doubled(torch.nn.Module):
        def forward(self, pixels):
            return (2 * pixels).mean((2, 3)) if channels_only else 2 * pixels

    shapes = ({0: torch.export.Dim.AUTO},) if dynamic else None
    program = torch.export.export(Doubled(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "model.pt2")
    figures = {"size": {"height": 8, "width": 8}, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "ViTImageProcessor", **figures})
    )
    with pytest.raises(ConfigError, match="if you trust it, set ") as told:
        build_image_engine(str(folder), CPU)
    return told.value.remedy.split("set ")[1]


@pytest.mark.parametrize("channels_only", [True, False])
def test_an_exported_program(tmp_path, channels_only):
    spec = exported(tmp_path, channels_only)
    vectors, status = build_image_engine(spec, CPU, batch_size=3).encode([red(51 * i) for i in range(5)])
    assert status == ["ok"] * 5
    np.testing.assert_allclose(vectors[:, 0], [0, 0.4, 0.8, 1.2, 1.6], atol=1e-6)
    assert vectors[:, 1:].max() == 0
    before = image_model_digest(spec)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert image_model_digest(spec) != before


def test_a_program_that_is_not_the_named_one_is_not_opened(tmp_path):
    spec = exported(tmp_path, True)
    (tmp_path / "model.pt2").write_bytes(b"something else")
    # Unlike what another test has loaded.
    with (tmp_path / "preprocessor_config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ConfigError, match=r"model\.pt2: has the sha-256"):
        build_image_engine(spec, CPU)
    (tmp_path / "model.pt2").unlink()
    with pytest.raises(ConfigError, match=r"holds no model\.pt2\. Allowed: a folder with model\.pt2 and"):
        build_image_engine(spec, CPU)


def test_a_fixed_number_of_pictures_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"does not take 1 pictures.*Remedy: export it with dynamic_shapes"):
        build_image_engine(exported(tmp_path, True, dynamic=False), CPU)
