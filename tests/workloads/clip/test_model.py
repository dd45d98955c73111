"""Models by name, their images, and weights from files."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from clip_training.config import ModelConfig, TrainConfig
from clip_training.known_models import registered
from clip_training.model import make_clip
from clip_training.optim import learning_rate_of
from harness.errors import CheckpointError, ParameterError
from harness.settings import merge
from harness.torch.models import FOLDER, names

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "clip"


def test_a_wrong_name_gets_a_suggestion(tiny_model: Path) -> None:
    with pytest.raises(ParameterError, match=r"did you mean ViT-B-32"):
        registered("ViT-B-23")
    with pytest.raises(ParameterError, match="no such file"):
        registered("nowhere/model.json")
    with pytest.raises(ParameterError, match="neither a file nor a tag of RN50"):
        make_clip(ModelConfig(name="RN50", pretrained="openay"))
    assert registered("ViT-B/32") == "ViT-B-32"
    assert registered(str(tiny_model)) == "test-tiny"
    assert registered("tabletop-tiny") == "tabletop-tiny"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{torn", "cannot be read as JSON"),
        ("[1]", "does not describe a model of open_clip: it has no entries"),
        ('{"embed_dim": 32, "text_cfg": {}}', "does not describe a model of open_clip: it has no vision_cfg"),
        (
            '{"embed_dim": 32, "text_cfg": {}, "vision_cfg": {"image_size": [64, 32]}}',
            "its images of 64 x 32 pixels are no squares, to which pairs are cropped; image_size must be a number",
        ),
    ],
)
def test_a_file_that_describes_no_usable_model_is_told_before_one_is_built(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(ParameterError, match=rf"model\.name={tmp_path}/own\.json: {told}"):
        make_clip(ModelConfig(name=str(tmp_path / "own.json")))


@dataclass(frozen=True)
class Paper:
    """A model as Radford et al. 2021 state it in tables 1, 19 and 20."""

    lr: float
    embedding: int
    resolution: int
    vision: tuple[int, ...]
    """Blocks of the four stages of a ResNet, or blocks of a transformer."""
    width: int
    """Of a ResNet's last stage, or of the transformer."""
    text_width: int
    patch: int = 0


MODELS = {
    "RN50": Paper(5e-4, 1024, 224, (3, 4, 6, 3), 2048, 512),
    "RN101": Paper(5e-4, 512, 224, (3, 4, 23, 3), 2048, 512),
    "RN50x4": Paper(5e-4, 640, 288, (4, 6, 10, 6), 2560, 640),
    "RN50x16": Paper(4e-4, 768, 384, (6, 8, 18, 8), 3072, 768),
    "RN50x64": Paper(3.6e-4, 1024, 448, (3, 15, 36, 10), 4096, 1024),
    "ViT-B/32": Paper(5e-4, 512, 224, (12,), 768, 512, 32),
    "ViT-B/16": Paper(5e-4, 512, 224, (12,), 768, 512, 16),
    "ViT-L/14": Paper(4e-4, 768, 224, (24,), 1024, 768, 14),
    "ViT-L/14-336px": Paper(2e-5, 768, 336, (24,), 1024, 768, 14),
}


def transformer(width: int, blocks: int) -> int:
    """Parameters of blocks with attention, a perceptron of four times the width, and two layer norms; all with biases."""
    return blocks * (4 * width * width + 4 * width + 8 * width * width + 5 * width + 4 * width)


def text_tower(paper: Paper) -> int:
    width = paper.text_width
    return 49408 * width + 77 * width + transformer(width, 12) + 2 * width + width * paper.embedding


def vision_transformer(paper: Paper) -> int:
    width, patches = paper.width, (paper.resolution // paper.patch) ** 2
    embeddings = 3 * paper.patch**2 * width + width + (patches + 1) * width
    return embeddings + 2 * width + transformer(width, *paper.vision) + 2 * width + width * paper.embedding


def resnet(paper: Paper) -> int:
    """Three stem convolutions, bottlenecks that end four times as wide as they are inside, and attention that pools. Norms have 2 each."""
    first = paper.width // 32  # stages are first, 2, 4 and 8 times as wide inside
    half = first // 2
    count = 27 * half + 2 * half + 9 * half * half + 2 * half + 9 * half * first + 2 * first
    entering = first
    for stage, blocks in enumerate(paper.vision):
        inside = first * 2**stage
        for block in range(blocks):
            count += entering * inside + 9 * inside * inside + 4 * inside * inside + 2 * (inside + inside + 4 * inside)
            count += entering * 4 * inside + 2 * 4 * inside if block == 0 else 0
            entering = 4 * inside
    positions = (paper.resolution // 32) ** 2 + 1
    attention = 3 * (paper.width**2 + paper.width) + paper.width * paper.embedding + paper.embedding
    return count + positions * paper.width + attention


def visual_tower(paper: Paper) -> int:
    return vision_transformer(paper) if paper.patch else resnet(paper)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_paper_s_widths(name: str) -> None:
    """By the number of parameters in each tower. Made without memory: the largest has 623 million."""
    paper = MODELS[name]
    with torch.device("meta"):
        model = open_clip.create_model(registered(name), load_weights=False, device="meta")
    visual = sum(parameter.numel() for parameter in model.visual.parameters())
    assert visual == visual_tower(paper)
    assert sum(parameter.numel() for parameter in model.parameters()) == visual + text_tower(paper) + 1
    assert model.visual.image_size in (paper.resolution, (paper.resolution, paper.resolution))


def test_parameter_counts_are_the_published_ones() -> None:
    """RN50's visual tower has 38.3 million parameters, not the 585.9 million of widths four times too large; ViT-B/32 has 151.3 in all."""
    assert visual_tower(MODELS["RN50"]) == 38_316_896
    assert visual_tower(MODELS["ViT-B/32"]) + text_tower(MODELS["ViT-B/32"]) + 1 == 151_277_313
    assert visual_tower(replace(MODELS["RN50"], width=4 * 2048)) > 500e6
    assert [MODELS[name].width // 32 for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")] == [64, 64, 80, 96, 128]


@pytest.mark.parametrize("name", MODELS)
def test_each_model_has_a_config_with_the_paper_s_recipe(name: str) -> None:
    stem = name.lower().replace("-", "_").replace("/", "_")
    settings = merge(TrainConfig, CONFIGS / f"{stem}.yaml", ())
    family = ((0.9, 0.98), 1e-6) if name.startswith("ViT") else ((0.9, 0.999), 1e-8)
    assert settings.model.name == name
    assert settings.optim.lr == MODELS[name].lr == learning_rate_of(registered(name))
    assert ((settings.optim.beta1, settings.optim.beta2), settings.optim.eps) == family
    assert (settings.optim.weight_decay, settings.optim.warmup) == (0.2, 2000)
    assert settings.train.epochs == (1 if "336" in name else 32)
    assert learning_rate_of("another") == 5e-4


def test_every_spelling_of_the_paper_s_names() -> None:
    for spelling in ("ViT-L/14-336px", "ViT-L/14@336px", "ViT-L-14-336px", "ViT-L-14-336"):
        assert registered(spelling) == "ViT-L-14-336"
    assert [registered(name) for name in MODELS] == [name.replace("/", "-").removesuffix("px") for name in MODELS]


def test_the_listed_names_are_open_clip_s_and_ours() -> None:
    theirs = Path(open_clip.__file__).parent / "model_configs"
    assert set(names()) == {path.stem for folder in (theirs, FOLDER) for path in folder.glob("*.json")}
    for wrong in ("RN51", "vit-b-32", ""):
        with pytest.raises(ParameterError, match=f"^model.name={wrong}: "):
            registered(wrong)


def test_openai_s_weights_select_the_quickgelu_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other files keep the model's own name."""
    made: list[str] = []
    create = open_clip.create_model

    def note(name: str, **options: object) -> torch.nn.Module:
        made.append(name)
        return create("tabletop-tiny", output_dict=True)

    monkeypatch.setattr(open_clip, "create_model", note)
    for name, pretrained in (
        ("ViT-B/32", "openai"),
        ("ViT-B/32", "laion2b_s34b_b79k"),
        ("RN50", "openai"),
        ("ViT-B-32-quickgelu", "openai"),
    ):
        make_clip(ModelConfig(name=name, pretrained=pretrained))
    assert made == ["ViT-B-32-quickgelu", "ViT-B-32", "RN50-quickgelu", "ViT-B-32-quickgelu"]


def test_a_positional_embedding_of_another_resolution_is_interpolated(undropped_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = make_clip(ModelConfig(name=str(undropped_model))).model
    torch.save(small.state_dict(), tmp_path / "small.pt")
    stated = json.loads(undropped_model.read_text())
    stated["vision_cfg"]["image_size"] = 48
    (tmp_path / "test-larger.json").write_text(json.dumps(stated))
    larger = make_clip(ModelConfig(name=str(tmp_path / "test-larger.json")), tmp_path / "small.pt").model
    before, after = small.visual.positional_embedding.detach(), larger.visual.positional_embedding.detach()
    assert (before.shape, after.shape) == ((17, 32), (37, 32))
    assert torch.equal(after[0], before[0])
    assert torch.allclose(after[1:].mean(0), before[1:].mean(0), atol=0.05)
    assert torch.equal(larger.visual.conv1.weight, small.visual.conv1.weight)


@pytest.mark.parametrize("name", ["tabletop-tiny", "ViT-B-32"])
def test_images_are_prepared_as_by_open_clip(name: str, tiny_model: Path) -> None:
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


def test_weights_are_saved_plain_and_loaded_from_a_file(tiny_model: Path, tmp_path: Path) -> None:
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
