"""Prompt tuning: what the tokens do, that nothing else changes, and what the files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluating import evaluated
from PIL import Image
from runs import BRIEF, same
from support.lines import run_line
from support.training import broken_off_at, job_in, taken
from torch import Tensor, nn

from clip_training.config import ModelConfig, NpzConfig, VptConfig
from clip_training.finetune_vpt import finetune_vpt
from clip_training.model import make_clip
from clip_training.model_files import load_clip
from clip_training.npz import make_npz
from clip_training.npz_pairs import npz_datasets
from clip_training.prompts import add_prompts
from harness.checkpoint import find
from harness.errors import CheckpointError, DataError, NotFiniteError, ParameterError
from harness.report import Recorder
from harness.settings import merge

TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
TOWERS: dict[str, dict[str, Any]] = {
    "test-deep": {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8, "patch_dropout": 0.25},
    "test-mean": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "pool_type": "avg", "no_ln_pre": True},
    "test-timm": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "linear"},
    "test-resnet": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
}
SHORT = {**BRIEF, "optim.warmup": 2, "vpt.tokens": 4, "train.epochs": 2, "train.debug_images": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, vision in TOWERS.items():
        content = {"embed_dim": 32, "vision_cfg": {"image_size": 32, **vision}, "text_cfg": TEXT}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def base(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with OpenAI's temperature, which is slightly above the maximum that training allows."""
    torch.manual_seed(7)
    model = make_clip(ModelConfig(name=str(models / "test-deep.json"))).model
    model.logit_scale.data.fill_(4.6052)
    path = tmp_path_factory.mktemp("base") / "base.pt"
    torch.save(model.state_dict(), path)
    return path


def tuned(folder: Path, output: Path, model: Path, report: Recorder | None = None, **options: Any) -> dict[str, Tensor]:
    """Tune, and return the whole model's weights."""
    paths = taken(options)
    stated = {"model.name": str(model), **SHORT, **{key.replace("__", "."): value for key, value in options.items()}}
    path = finetune_vpt(job_in(output, merge(VptConfig, None, stated.items()), folder, report, **paths))
    return torch.load(path, weights_only=True)["state_dict"]


def by_hand(visual: nn.Module, images: Tensor) -> Tensor:
    """The tower's features, with the tokens concatenated by hand before each block."""
    x = visual._embeds(images)
    tokens = visual.prompts.tokens
    for number, block in enumerate(visual.transformer.resblocks):
        head, patches = x[:, :1], x[:, -16:]
        given = tokens[number].expand(len(x), -1, -1) if number < len(tokens) else x[:, 1:-16]
        x = block(torch.cat([head, given, patches], 1))
    pooled, _ = visual._pool(torch.cat([x[:, :1], x[:, -16:]], 1))
    return pooled @ visual.proj


@pytest.mark.parametrize(("model", "deep"), [("test-deep", True), ("test-deep", False), ("test-mean", True)])
def test_tokens_enter_the_first_block_and_are_replaced_in_all_but_the_last(model: str, deep: bool, models: Path) -> None:
    clip = make_clip(ModelConfig(name=str(models / f"{model}.json")))
    clip.model.double().eval()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    before = clip.model.visual(images)
    prompts = add_prompts(clip, tokens=5, deep=deep, dropout=0.2).double().eval()
    after = clip.model.visual(images)

    layers = len(clip.model.visual.transformer.resblocks)
    assert prompts.tokens.shape == (layers - 1 if deep else 1, 5, 32)
    assert not torch.allclose(before, after)
    for hooks in (hook for block in clip.model.visual.transformer.resblocks for hook in (block._forward_pre_hooks, block._forward_hooks)):
        hooks.clear()
    assert torch.allclose(by_hand(clip.model.visual, images), after, rtol=1e-12, atol=1e-14)


def test_dropout_applies_to_tokens_during_training_only(models: Path) -> None:
    clip = make_clip(ModelConfig(name=str(models / "test-mean.json")))
    add_prompts(clip, tokens=5, deep=True, dropout=0.2)
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(clip.model.visual(images), clip.model.visual(images))
    clip.model.eval()
    assert torch.equal(clip.model.visual(images), clip.model.visual(images))


def test_timms_vision_transformers_take_prompts(models: Path) -> None:
    clip = make_clip(ModelConfig(name=str(models / "test-timm.json")))
    add_prompts(clip, tokens=3, deep=True, dropout=0)
    seen: list[int] = []
    for block in clip.model.visual.trunk.blocks:
        block.norm1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    clip.model.visual(torch.randn(1, 3, 224, 224)).sum().backward()
    assert seen == [1 + 3 + 14 * 14] * 12
    learned = {name for name, parameter in clip.model.named_parameters() if parameter.grad is not None}
    assert learned == {"visual.prompts.tokens", "visual.trunk.cls_token"}


def test_a_tower_that_is_not_a_transformer_is_refused(models: Path) -> None:
    clip = make_clip(ModelConfig(name=str(models / "test-resnet.json")))
    with pytest.raises(ParameterError, match=r"model\.name=test-resnet: prompts need a vision transformer .* ModifiedResNet"):
        add_prompts(clip, tokens=4, deep=True, dropout=0)


@pytest.mark.parametrize("micro_batch", [0, 4])
def test_only_prompts_and_class_token_change(micro_batch: int, squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    """All other weights stay bit-identical, in spite of a large weight decay."""
    report = Recorder()
    options = {"init_from": base, "optim__weight_decay": 5.0, "train__micro_batch": micro_batch, "train__epochs": 6, "optim__lr": 0.01}
    weights = tuned(squares, tmp_path, models / "test-deep.json", report, **options)
    before = torch.load(base, weights_only=True)

    changed = {name for name in before if not torch.equal(before[name], weights[name])}
    assert changed == {"visual.class_embedding"}
    assert weights.keys() - before.keys() == {"visual.prompts.tokens"}
    assert weights["logit_scale"] > np.log(100)
    losses = [value for _, value in report.scalars["loss", "held out"]]
    assert losses[-1] < losses[0]


def test_a_resumed_run_ends_like_an_uninterrupted_one(
    squares: Path, models: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models / "test-deep.json"
    unbroken = tuned(squares, tmp_path / "unbroken", model, init_from=base)
    with broken_off_at(3):
        tuned(squares, tmp_path / "broken", model, init_from=base)
    assert same(tuned(squares, tmp_path / "broken", model, init_from=base, resume=find(tmp_path / "broken")), unbroken)
    with pytest.raises(CheckpointError, match="weights below the prompts was"):
        tuned(squares, tmp_path / "other", model, resume=find(tmp_path / "broken"))


def test_the_files_hold_the_whole_model_and_the_prompts_alone(squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    model, report = models / "test-deep.json", Recorder()
    weights = tuned(squares, tmp_path, model, report, init_from=base, vpt__deep=False)
    settings = ModelConfig(name=str(model))

    assert (tmp_path / "prompts.pt").stat().st_size < 0.01 * (tmp_path / "weights.pt").stat().st_size
    assert report.artifacts["prompts"] == tmp_path / "prompts.pt"
    whole = load_clip(settings, tmp_path / "weights.pt")
    alone = load_clip(ModelConfig(name=str(model), pretrained=str(base)), tmp_path / "prompts.pt")
    remembered = load_clip(settings, tmp_path / "prompts.pt")  # of which weights they are, the file says itself
    running = load_clip(settings, find(tmp_path))
    for clip in (whole, alone, remembered, running):
        assert same(clip.model.state_dict(), weights)
        assert clip.model.visual.prompts.tokens.shape == (1, 4, 32)
    torch.manual_seed(1)
    torch.save(make_clip(settings).model.state_dict(), tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="learned on other weights"):
        load_clip(ModelConfig(name=str(model), pretrained=str(tmp_path / "other.pt")), tmp_path / "prompts.pt")
    recall = evaluated(squares, tmp_path / "evaluated", model, init_from=tmp_path / "weights.pt")["retrieval"]["recall"]
    assert recall["image to text"]["1"] == report.scalars["recall@1", "image to text"][-1][1]


def test_tuning_can_start_from_prompts(squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    model = models / "test-deep.json"
    tuned(squares, tmp_path / "first", model, init_from=base, train__epochs=1)
    tuned(squares, tmp_path / "second", model, init_from=tmp_path / "first" / "weights.pt", train__epochs=1)
    with pytest.raises(ParameterError, match=r"set vpt\.tokens=4 vpt\.deep=True"):
        tuned(squares, tmp_path / "third", model, init_from=tmp_path / "first" / "weights.pt", vpt__tokens=9)


def frozen(folder: Path | None, output: Path, model: Path, **options: Any) -> Path:
    stated = {"model.name": str(model), "data.workers": 0, **{key.replace("__", "."): value for key, value in options.items()}}
    return make_npz(job_in(output, merge(NpzConfig, None, stated.items()), folder))


def test_a_file_in_place_of_its_folder_is_told_before_a_model_is_made(squares: Path, tmp_path: Path) -> None:
    (tmp_path / "frozen").mkdir()
    (tmp_path / "frozen/npz").write_text("")
    with pytest.raises(ParameterError, match=rf"^out={tmp_path}/frozen: user \d+ cannot write into .*/npz \(Not a directory\)"):
        frozen(squares, tmp_path / "run", Path("nothing.json"), out=str(tmp_path / "frozen"))


def test_prepared_images_equal_the_model_s_inputs(squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    """Tuning on them gives the same result as tuning on the images, prepared as for evaluation."""
    model = models / "test-deep.json"
    data = frozen(squares, tmp_path, model)
    assert sorted(path.name for path in data.iterdir()) == ["img", "npz", "text", "train_set.txt", "val_set.txt"]
    assert {len(list((data / name).iterdir())) for name in ("img", "text", "npz")} == {80}
    values = np.load(data / "npz" / "0003.npz")["data"]
    assert (values.dtype, values.shape) == (np.float16, (3, 32, 32))

    clip = make_clip(ModelConfig(name=str(model)))
    settings = merge(VptConfig, None, {"data.workers": 0}.items())
    training, heldout = npz_datasets(clip, settings.data, data, seed=0)
    plain_training, plain = npz_datasets(clip, settings.data, squares, seed=0)
    assert (len(training), len(heldout)) == (len(plain_training), len(plain)) == (60, 20)
    sample, expected = heldout[3], plain[3]
    mean, std = clip.mean.view(3, 1, 1), clip.std.view(3, 1, 1)
    assert torch.equal(sample.image, ((expected.image / 255 - mean) / std).half())
    assert torch.equal(sample.tokens, expected.tokens)
    shown = np.asarray(heldout.transform(heldout.read(3)[0]), int)
    assert np.abs(shown - np.asarray(plain.transform(plain.read(3)[0]), int)).max() <= 1
    assert torch.equal(training[0, 5].image, training[7, 5].image)

    report = Recorder()
    tuned(data, tmp_path / "tuned", model, report, init_from=base)
    other = Recorder()
    tuned(squares, tmp_path / "plain", model, other, init_from=base)
    assert report.scalars["loss", "held out"][0][1] == pytest.approx(other.scalars["loss", "held out"][0][1], rel=1e-3)
    assert isinstance(report.images[0][2], Image.Image)


def test_only_training_images_get_random_crops(squares: Path, models: Path, tmp_path: Path) -> None:
    model = models / "test-deep.json"
    centre, random = (frozen(squares, tmp_path / crop, model, crop=crop) for crop in ("centre", "random"))
    for name, differ in (("train_set.txt", True), ("val_set.txt", False)):
        stems = (centre / name).read_text().split()
        data = [[np.load(folder / "npz" / f"{stem}.npz")["data"] for stem in stems] for folder in (centre, random)]
        assert np.array_equal(*data) != differ


def test_the_fork_s_folder_is_completed_in_place_and_its_lists_are_used(squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    """img/ and text/ stay unchanged; files without a partner, truncated files and unlisted stems are left out."""
    data, model = tmp_path / "data", models / "test-deep.json"
    for name, suffix in (("img", ".png"), ("text", ".txt")):
        (data / name).mkdir(parents=True)
        for path in sorted((squares / "train").glob(f"*{suffix}"))[:40]:
            (data / name / path.name).write_bytes(path.read_bytes())
    stems = sorted(path.stem for path in (data / "img").iterdir())
    (data / "train_set.txt").write_text("\n".join(f"{stem}.png" for stem in stems[:30]))
    (data / "val_set.txt").write_text("\n".join([*stems[30:38], "unknown"]))
    assert frozen(data, tmp_path, model, out=str(data)) == data
    assert len(list((data / "npz").iterdir())) == 38
    (data / "npz" / f"{stems[4]}.npz").write_bytes(b"torn")
    np.savez(data / "npz" / f"{stems[5]}.npz", data=np.zeros((3, 16, 16), np.float16))
    report = Recorder()
    tuned(data, tmp_path / "tuned", model, report, init_from=base)
    assert any(text.startswith("30 training pairs, 8 held out") for text in report.texts)
    assert any(text.startswith("2 training pairs are unusable and were skipped so far") for text in report.texts)

    (data / "val_set.txt").write_text(stems[3])
    with pytest.raises(DataError, match="must not be trained on"):
        tuned(data, tmp_path / "both", model)


def test_prepared_images_of_another_size_are_an_error(squares: Path, models: Path, tmp_path: Path) -> None:
    data = frozen(squares, tmp_path, models / "test-deep.json")
    first = sorted((data / "npz").iterdir())[0]
    np.savez(first, data=np.zeros((3, 64, 64), np.float16))
    with pytest.raises(DataError, match=r"`data` is \(3, 64, 64\), but test-deep needs \(3, 32, 32\); make the files again"):
        tuned(data, tmp_path / "tuned", models / "test-deep.json")


def test_both_have_a_command_line(squares: Path, models: Path, tmp_path: Path) -> None:
    """The fork's command line, with a small model."""
    model, data = str(models / "test-deep.json"), str(tmp_path / "data")
    made = run_line("clip_training.npz", f"folder={squares}", f"out={data}", f"model_name={model}", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    tuning = ["--model_name", model, "--folder", data, "--batch_size", "26", "epochs=1", "warmup=1", "num_workers=0", "debug_images=0"]
    tuned = run_line("clip_training.finetune_vpt", *tuning, folder=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    assert len(list(tmp_path.glob("outputs/clip/finetune_vpt-*/weights.pt"))) == 1


def test_a_tuning_that_diverges_publishes_nothing(squares: Path, models: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match=r"not finite; .*no weights are published"):
        tuned(squares, tmp_path, models / "test-deep.json", init_from=base, optim__lr=1e30, optim__warmup=0)
    assert not [path.name for path in tmp_path.glob("*.pt")]
