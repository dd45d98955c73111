"""CLIP weights from every supported kind of file, each written by the code that usually writes it."""

from __future__ import annotations

import argparse
import copy
import io
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as lightning
import open_clip
import pytest
import torch
from models import FORMS, TEXT
from openai_files import OpenAI, Trap, clip, same
from runs import run
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertModel

from clip_training.checkpoint import description_of, fitted, load, save
from clip_training.config import ModelConfig
from clip_training.model import make_clip
from harness.checkpoint import find
from harness.errors import CheckpointError


class TestOpenClip:
    def test_checkpoints_of_its_training_program(self, tmp_path: Path) -> None:
        model = clip()
        state = {f"module.{key}": value for key, value in model.state_dict().items()}
        optimizer = torch.optim.AdamW(model.parameters()).state_dict()
        torch.save({"epoch": 3, "name": "run", "state_dict": state, "optimizer": optimizer}, tmp_path / "epoch_3.pt")
        found, description = load(tmp_path / "epoch_3.pt")
        assert same(found, model)
        assert description.kind == "open_clip"

    def test_safetensors_and_compiled_models(self, tmp_path: Path) -> None:
        model = clip()
        save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
        torch.save({f"_orig_mod.{key}": value for key, value in model.state_dict().items()}, tmp_path / "compiled.pt")
        for name in ("open_clip_model.safetensors", "compiled.pt"):
            found, description = load(tmp_path / name)
            assert same(found, model), name
            assert description.kind == "plain"
        (tmp_path / "torn.safetensors").write_bytes((tmp_path / "open_clip_model.safetensors").read_bytes()[:1000])
        with pytest.raises(CheckpointError, match=r"torn\.safetensors cannot be read as safetensors"):
            load(tmp_path / "torn.safetensors")

    def test_weights_fit_a_model_with_a_separate_text_tower(self, tmp_path: Path) -> None:
        model = clip()
        apart = open_clip.model.CustomTextCLIP(32, text_cfg=TEXT, quick_gelu=True, **FORMS["vit"])
        torch.save(model.state_dict(), tmp_path / "plain.pt")
        state, _ = load(tmp_path / "plain.pt")
        assert fitted(state, apart).keys() == apart.state_dict().keys()
        assert fitted(state, model).keys() == model.state_dict().keys()

    def test_the_description_names_kind_and_architecture(self, tmp_path: Path) -> None:
        torch.save(clip().state_dict(), tmp_path / "vit.pt")
        torch.save(clip("resnet").state_dict(), tmp_path / "resnet.pt")
        assert load(tmp_path / "vit.pt")[1].architecture == (
            "vision transformer, 2 blocks, width 32, patches of 8 in 32 pixels; text transformer, 2 blocks, width 32, 12 of 1000 tokens; "
            "embeddings of 32"
        )
        assert load(tmp_path / "resnet.pt")[1].architecture.startswith("ResNet of 2, 1, 1, 1 blocks, width 8, 64 pixels; text transformer")


class TestOurs:
    def test_a_checkpoint_of_a_run_and_its_final_weights(self, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
        final = run(squares, tmp_path, tiny_model, train__epochs=1)
        state, description = load(find(tmp_path))
        assert description.kind == "lightning"
        assert description.model == "test-tiny"
        assert state.keys() == final.keys()
        assert all(torch.equal(state[key], value) for key, value in final.items())

    def test_metadata_survive_saving_and_loading(self, tmp_path: Path) -> None:
        save(tmp_path / "w.pt", clip().state_dict(), {"kind": "example", "model": "test-tiny", "tokens": 20})
        state, description = load(tmp_path / "w.pt")
        assert same(state, clip())
        assert description.metadata == {"kind": "example", "model": "test-tiny", "tokens": 20}
        assert (description.kind, description.model) == ("ours", "test-tiny")

    def test_a_file_of_weights_cannot_be_resumed(self, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
        torch.save(make_clip(ModelConfig(name=str(tiny_model))).model.state_dict(), tmp_path / "plain.pt")
        with pytest.raises(CheckpointError, match=r"plain\.pt is a state dict of open_clip.*it cannot be resumed, but init_from="):
            run(squares, tmp_path / "run", tiny_model, resume=tmp_path / "plain.pt")
        torch.save({"net": {"weight": torch.zeros(2)}}, tmp_path / "other.pt")
        with pytest.raises(CheckpointError, match="'net' with weight: 1 tensors"):
            description_of(tmp_path / "other.pt")


class Wrapper(lightning.LightningModule):
    """What train-CLIP's CLIPWrapper registers: a CLIP below `model`."""

    def __init__(self, model_name: str, minibatch_size: int, model: nn.Module) -> None:
        super().__init__()
        self.save_hyperparameters({"model_name": model_name, "minibatch_size": minibatch_size})
        self.model = model
        self.automatic_optimization = False


class CustomWrapper(Wrapper):
    """What its CustomCLIPWrapper registers: other towers in the CLIP, a temperature for Sinkhorn, and a teacher."""

    def __init__(self, image_encoder: nn.Module, text_encoder: nn.Module, model: nn.Module) -> None:
        super().__init__("RN50", 0, model)
        self.model.visual, self.model.transformer = image_encoder, text_encoder
        self.sink_temp = nn.Parameter(torch.ones([]))
        self.teacher = copy.deepcopy(self.model)


@pytest.fixture
def old_lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The names under which Lightning 1.x pickled what it left in a checkpoint; they are gone when it is read."""
    attributes = types.ModuleType("pytorch_lightning.utilities.parsing")
    attributes.AttributeDict = type("AttributeDict", (dict,), {"__module__": attributes.__name__})  # type: ignore[attr-defined]
    callbacks = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    callbacks.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": callbacks.__name__})  # type: ignore[attr-defined]
    for name in ("pytorch_lightning", "pytorch_lightning.utilities", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for module in (attributes, callbacks):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield
    monkeypatch.undo()


class TestTrainClip:
    def saved(self, module: Wrapper, path: Path) -> Path:
        """By Lightning itself."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
            trainer.strategy.connect(module)
            trainer.save_checkpoint(path)
        return path

    def test_clip_wrapper(self, tmp_path: Path) -> None:
        model = clip()
        state, description = load(self.saved(Wrapper("ViT-B/32", 16, model), tmp_path / "wrapper.ckpt"))
        assert same(state, model)
        assert description.kind == "clip_wrapper"
        assert description.hyper_parameters == {"model_name": "ViT-B/32", "minibatch_size": 16}

    @pytest.mark.parametrize("kind", ["AttributeDict", "Namespace"])
    def test_types_of_old_lightning_are_ignored(self, kind: str, old_lightning: None, tmp_path: Path) -> None:
        stated = {"model_name": "RN50", "batch_size": 512}
        classes = sys.modules["pytorch_lightning.utilities.parsing"], sys.modules["pytorch_lightning.callbacks.model_checkpoint"]
        parameters = classes[0].AttributeDict(stated) if kind == "AttributeDict" else argparse.Namespace(**stated)
        model = clip()
        content = {
            "epoch": 3,
            "global_step": 9,
            "pytorch-lightning_version": "1.3.8",
            "state_dict": {f"model.{key}": value for key, value in OpenAI(model).state_dict().items() if key != "attn_mask"},
            "callbacks": {classes[1].ModelCheckpoint: {"best_model_score": None}},
            "hyper_parameters": parameters,
        }
        stored = io.BytesIO()
        torch.save(content, stored)
        for module in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
            del sys.modules[module]
        (tmp_path / "old.ckpt").write_bytes(stored.getvalue())

        state, description = load(tmp_path / "old.ckpt")
        assert same(state, model)
        assert description.hyper_parameters == stated

    def test_custom_clip_wrapper(self, tmp_path: Path) -> None:
        model = clip()
        image_encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 32))
        small = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        text_encoder = BertModel(small)
        wrapper = CustomWrapper(image_encoder, text_encoder, model)
        for parameter in wrapper.teacher.parameters():
            parameter.data += 1

        state, description = load(self.saved(wrapper, tmp_path / "custom.ckpt"))

        assert description.kind == "custom_clip_wrapper"
        towers = {
            "logit_scale",
            *(f"visual.{key}" for key in image_encoder.state_dict()),
            *(f"transformer.{key}" for key in text_encoder.state_dict()),
        }
        assert state.keys() == towers
        assert torch.equal(state["visual.3.weight"], image_encoder[3].weight)
        assert description.teacher.keys() == towers
        assert torch.equal(description.teacher["visual.3.weight"], image_encoder[3].weight + 1)
        assert description.left_out["unused parts of the CLIP whose towers were replaced"] == 5
        assert "a text encoder with transformer.embeddings" in description.architecture
        with pytest.raises(CheckpointError, match="CustomCLIPWrapper"):
            make_clip(ModelConfig(name="RN50"), tmp_path / "custom.ckpt")


class TestWrappers:
    @pytest.mark.parametrize("entry", ["model_state_dict", "model", "net", "ema"])
    def test_the_only_entry_that_holds_a_clip_is_taken_and_said(self, entry: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Statistics and an optimizer's state are no second candidate."""
        model = clip()
        optimizer = torch.optim.AdamW(model.parameters()).state_dict()
        torch.save({entry: model.state_dict(), "optimizer": optimizer, "stats": {"mean": torch.zeros(3)}, "epoch": 4}, tmp_path / "a.pt")
        state, description = load(tmp_path / "a.pt")
        assert same(state, model)
        assert f"a.pt is a state dict of open_clip in the entry {entry!r}: vision transformer" in str(description)
        assert f"a.pt: the weights are those of its entry {entry!r}" in caplog.text

    @pytest.mark.parametrize("entries", [("model", "ema"), ("state_dict", "state_dict_ema")])
    def test_two_candidates_are_one_error_that_names_both(self, entries: tuple[str, str], tmp_path: Path) -> None:
        torch.save({entry: clip().state_dict() for entry in entries}, tmp_path / "two.pt")
        with pytest.raises(CheckpointError, match=rf"two\.pt holds several state dicts: '{entries[0]}' \(\d+ tensors\) and '{entries[1]}'"):
            load(tmp_path / "two.pt")


class TestUnknownFiles:
    def test_other_models_are_described(self, tmp_path: Path) -> None:
        small = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        torch.save(BertModel(small).state_dict(), tmp_path / "bert.pt")
        with pytest.raises(CheckpointError) as error:
            load(tmp_path / "bert.pt")
        for part in ("bert.pt holds no CLIP", "embeddings: 5 tensors, embeddings.word_embeddings.weight (50, 32)", "pooler: 2 tensors"):
            assert part in str(error.value)

    def test_a_nesting_without_a_clip_is_described(self, tmp_path: Path) -> None:
        torch.save({"run": {"net": clip().state_dict()}, "stats": {"mean": torch.zeros(3)}, "epoch": 4, "note": "best"}, tmp_path / "a.pt")
        with pytest.raises(CheckpointError) as error:
            load(tmp_path / "a.pt")
        for part in ("holds no named weights", "'stats' with mean: 1 tensors", "'run' (dict)", "'epoch' (int)", "'note' (str)"):
            assert part in str(error.value)

    @pytest.mark.parametrize("content", [[1, 2], {}, 3.0, {"state_dict": {}}])
    def test_a_file_without_weights_is_an_error(self, content: object, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=r"x\.pt holds no named weights"):
            load(tmp_path / "x.pt")

    def test_clip_s_names_with_other_shapes_are_still_described(self, tmp_path: Path) -> None:
        state = dict.fromkeys(("visual.conv1.weight", "visual.class_embedding", "transformer.x", "logit_scale"), torch.zeros(2))
        torch.save(state, tmp_path / "odd.pt")
        assert "visual: 2 tensors" in load(tmp_path / "odd.pt")[1].architecture

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_a_pickled_function_is_named_and_not_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        torch.save({"state_dict": clip().state_dict(), "extra": Trap()}, tmp_path / "trap.pt")
        with pytest.raises(CheckpointError, match=r"holds the type posix\.mkdir"):
            load(tmp_path / "trap.pt")
        assert not Path("trapped").exists()
