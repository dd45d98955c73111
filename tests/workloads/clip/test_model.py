"""Models by name, their images, and weights from files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from clip_training.config import ModelConfig
from clip_training.model import make_clip, registered
from harness.errors import CheckpointError, ParameterError


def test_a_wrong_name_is_told_the_nearest(tiny_model: Path) -> None:
    with pytest.raises(ParameterError, match=r"did you mean ViT-B-32"):
        registered("ViT-B-23")
    with pytest.raises(ParameterError, match="no such file"):
        registered("nowhere/model.json")
    with pytest.raises(ParameterError, match="neither a file nor a tag of RN50"):
        make_clip(ModelConfig(name="RN50", pretrained="openay"))
    assert registered("ViT-B/32") == "ViT-B-32"
    assert registered(str(tiny_model)) == "test-tiny"
    assert registered("tabletop-tiny") == "tabletop-tiny"


def test_rn50_has_the_papers_visual_tower() -> None:
    model = open_clip.create_model("RN50", load_weights=False)
    assert sum(parameter.numel() for parameter in model.visual.parameters()) == 38_316_896


@pytest.mark.parametrize("name", ["tabletop-tiny", "ViT-B-32"])
def test_images_are_those_of_open_clip(name: str, tiny_model: Path) -> None:
    config = ModelConfig(name=str(tiny_model)) if name == "ViT-B-32" else ModelConfig(name=name)
    clip = make_clip(config)
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.submodule_search_locations is not None
    with Image.open(Path(package.submodule_search_locations[0]) / "data" / "coffee.png") as photograph:
        photograph.load()
    reference = open_clip.image_transform(clip.size, is_train=False)(photograph)
    pixels = torch.from_numpy(np.array(clip.transform(photograph.convert("RGB")))).permute(2, 0, 1).float() / 255
    ours = (pixels - clip.mean.view(3, 1, 1)) / clip.std.view(3, 1, 1)

    assert ours.shape == (3, clip.size, clip.size)
    assert torch.allclose(ours, reference, atol=1e-6)


def test_weights_come_back_plain_and_from_a_file(tiny_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = make_clip(ModelConfig(name=str(tiny_model)))
    torch.save(one.model.state_dict(), tmp_path / "plain.pt")
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in one.model.state_dict().items()}, "epoch": 3}, tmp_path / "open_clip.pt"
    )
    torch.save({"state_dict": {f"model.{key}": value for key, value in one.model.state_dict().items()}}, tmp_path / "lightning.ckpt")

    def same(other: torch.nn.Module) -> bool:
        return all(torch.equal(value, other.state_dict()[key]) for key, value in one.model.state_dict().items())

    assert not same(make_clip(ModelConfig(name=str(tiny_model))).model)
    assert same(make_clip(ModelConfig(name=str(tiny_model), pretrained=str(tmp_path / "plain.pt"))).model)
    for name in ("plain.pt", "open_clip.pt", "lightning.ckpt"):
        assert same(make_clip(ModelConfig(name=str(tiny_model)), init_from=tmp_path / name).model), name
    assert same(open_clip.create_model("test-tiny", pretrained=str(tmp_path / "plain.pt")))  # and by open_clip itself


def test_weights_of_another_model_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    state = make_clip(ModelConfig(name=str(tiny_model))).model.state_dict()
    state["extra"] = torch.zeros(1)
    state["text_projection"] = torch.zeros(3, 5)
    del state["ln_final.bias"]
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(CheckpointError) as error:
        make_clip(ModelConfig(name=str(tiny_model)), init_from=tmp_path / "other.pt")
    for part in ("lacks ln_final.bias", "has extra", "text_projection is (3, 5), in the model (32, 32)"):
        assert part in str(error.value)
