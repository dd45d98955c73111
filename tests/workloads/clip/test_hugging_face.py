"""Weights of Hugging Face's CLIPModel, in both directions. The independent source is transformers: it writes the files, and its own
forward pass gives the features."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from models import RESNET, TEXT
from safetensors.torch import load_file, save_file
from support.training import job_in
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from clip_training.checkpoint import load
from clip_training.config import ExportConfig, ModelConfig
from clip_training.export import export
from clip_training.known_models import registered
from clip_training.model import make_clip
from clip_training.model_files import load_clip
from harness.checkpoint import find_weights
from harness.errors import CheckpointError, ParameterError
from harness.report import Recorder

WORDS = {"vocab_size": 1000, "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
PIXELS = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 32, "patch_size": 8}
OPEN_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 48, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 1000, "width": 32, "heads": 4, "layers": 3, "mlp_ratio": 3},
}
"""The same architecture in open_clip's words."""


def clip_model(act: str = "quick_gelu", **text: Any) -> CLIPModel:
    """A CLIPModel whose widths, depths and heads all differ, so that no two can be mistaken for each other."""
    torch.manual_seed(3)
    words = {**WORDS, "max_position_embeddings": 12, "bos_token_id": 998, "eos_token_id": 999, "hidden_act": act, **text}
    model = CLIPModel(CLIPConfig(text_config=words, vision_config={**PIXELS, "hidden_act": act}, projection_dim=24)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # biases and gains as well, which begin as zeros and ones
    return model


def features_of_transformers(model: CLIPModel, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        found = model(input_ids=tokens, pixel_values=images)
    return found.image_embeds, found.text_embeds


def inputs() -> tuple[Tensor, Tensor]:
    """Images, and texts that end at different places."""
    generator = torch.Generator().manual_seed(4)
    tokens = torch.randint(1, 900, (5, 12), generator=generator)
    for row, end in enumerate((4, 7, 11, 9, 5)):
        tokens[row, end], tokens[row, end + 1 :] = 999, 0
    return torch.randn(5, 3, 32, 32, generator=generator), tokens


def assert_same_features(ours: torch.nn.Module, theirs: CLIPModel) -> None:
    images, tokens = inputs()
    with torch.no_grad():
        found = ours.eval().encode_image(images, normalize=True), ours.encode_text(tokens, normalize=True)
    for mine, wanted in zip(found, features_of_transformers(theirs, images, tokens), strict=True):
        assert float((mine - wanted).abs().max()) < 1e-5
    assert torch.equal(ours.logit_scale, theirs.logit_scale)


def model_file(folder: Path, *, quick: bool = True, name: str = "test-hf", **vision: Any) -> str:
    config = {**OPEN_CLIP, "quick_gelu": quick, "vision_cfg": {**OPEN_CLIP["vision_cfg"], **vision}}  # type: ignore[dict-item]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clip_model().save_pretrained(tmp_path / "hf")
    return tmp_path / "hf"


class TestLoading:
    @pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
    def test_features_of_a_folder_are_transformers_own(self, act: str, tmp_path: Path) -> None:
        theirs = clip_model(act)
        theirs.save_pretrained(tmp_path / "hf")
        name = model_file(tmp_path, quick=act == "quick_gelu", name=f"test-{act}")
        for settings, init_from in (
            (ModelConfig(name, str(tmp_path / "hf")), None),  # model.pretrained takes the folder
            (ModelConfig(name), find_weights(tmp_path / "hf")),  # init_from gives the file in it
        ):
            assert_same_features(load_clip(settings, init_from).model, theirs)

    def test_every_other_form_holds_the_same_weights(self, folder: Path, tmp_path: Path) -> None:
        theirs = clip_model()
        theirs.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
        assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
        (tmp_path / "bin").mkdir()
        torch.save(theirs.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
        (tmp_path / "alone").mkdir()
        (folder / "model.safetensors").rename(tmp_path / "alone" / "anything.safetensors")
        torch.save(theirs.state_dict(), tmp_path / "state.pt")
        torch.save({"model": {f"module.{key}": value for key, value in theirs.state_dict().items()}, "epoch": 1}, tmp_path / "nested.pt")
        name = model_file(tmp_path)
        for source in ("parts", "bin", "alone/anything.safetensors", "state.pt", "nested.pt"):
            assert_same_features(load_clip(ModelConfig(name, str(tmp_path / source))).model, theirs)

    def test_every_key_is_accounted_for(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        state, description = load(folder / "model.safetensors")
        assert description.kind == "hugging_face"
        assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in weights.values())

        old = weights | {f"{tower}.embeddings.position_ids": torch.arange(12)[None] for tower in ("text_model", "vision_model")}
        save_file(old, folder / "model.safetensors")  # as transformers wrote until 2023
        assert load(folder / "model.safetensors")[1].left_out == {"numbers that are not weights": 2}

        del weights["text_model.encoder.layers.1.self_attn.k_proj.bias"]
        save_file(weights | {"visual_projection.bias": torch.zeros(24)}, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"lacks text_model\S+k_proj\.bias; it has visual_projection\.bias, which a CLIP"):
            load(folder / "model.safetensors")

    def test_the_config_selects_the_activation(self, tmp_path: Path) -> None:
        names = {name: model_file(tmp_path, quick="quick" in name, name=name) for name in ("test-act", "test-act-quickgelu")}
        for name in names.values():
            registered(name)
        for act, expected in (("quick_gelu", "test-act-quickgelu"), ("gelu", "test-act")):
            clip_model(act).save_pretrained(tmp_path / act)
            for asked in names.values():
                assert load_clip(ModelConfig(asked, str(tmp_path / act))).name == expected

    def test_what_shapes_do_not_show_is_compared_with_the_config(self, folder: Path, tmp_path: Path) -> None:
        name = model_file(tmp_path, quick=False, head_width=24, name="test-other")
        with pytest.raises(CheckpointError) as error:
            load_clip(ModelConfig(name, str(folder)))
        for part in (
            "vision_config.num_attention_heads is 3, in test-other 2",
            "vision_config.hidden_act is quick_gelu, in test-other gelu",
            "text_config.hidden_act",
        ):
            assert part in str(error.value)

    def test_without_a_config_the_assumption_is_said(self, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "config.json").unlink()
        with caplog.at_level(logging.WARNING):
            load_clip(ModelConfig(model_file(tmp_path), str(folder)))
        assert "assumed are OpenAI's activation (quick_gelu), and the heads of test-hf" in caplog.text

    def test_a_config_of_2022_counts_by_its_text_config_dict(self, folder: Path, tmp_path: Path) -> None:
        stated = json.loads((folder / "config.json").read_text())
        stated["text_config_dict"], stated["text_config"] = {**stated["text_config"]}, {"num_attention_heads": 16, "hidden_act": "gelu"}
        stated["text_config_dict"] |= {"eos_token_id": 2}
        (folder / "config.json").write_text(json.dumps(stated))
        assert_same_features(load_clip(ModelConfig(model_file(tmp_path), str(folder))).model, clip_model())

    def test_a_damaged_folder_is_one_clear_error(self, folder: Path, tmp_path: Path) -> None:
        clip_model().save_pretrained(tmp_path / "parts", max_shard_size="100KB")
        part = sorted((tmp_path / "parts").glob("*.safetensors"))[0]
        part.rename(tmp_path / "gone.safetensors")
        with pytest.raises(CheckpointError, match=rf"model\.safetensors\.index\.json names {part.name}, which must lie beside it"):
            load_clip(ModelConfig(model_file(tmp_path), str(tmp_path / "parts")))
        (folder / "config.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"config\.json is not a configuration of transformers"):
            load_clip(ModelConfig(model_file(tmp_path), str(folder)))
        (tmp_path / "empty").mkdir()
        with pytest.raises(CheckpointError, match=r"empty, which contains nothing"):
            load_clip(ModelConfig(model_file(tmp_path), str(tmp_path / "empty")))


class TestExport:
    @pytest.mark.parametrize("quick", [True, False])
    def test_transformers_loads_what_was_exported(self, quick: bool, tmp_path: Path) -> None:
        name = model_file(tmp_path, quick=quick, name=f"test-export-{quick}".lower())
        torch.manual_seed(5)
        ours = make_clip(ModelConfig(name)).model
        for parameter in ours.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        torch.save(ours.state_dict(), tmp_path / "ours.pt")
        report = Recorder()
        path = export(job_in(tmp_path / "out", ExportConfig(name, "huggingface"), report=report, init_from=tmp_path / "ours.pt"))

        theirs, loading = CLIPModel.from_pretrained(path, output_loading_info=True)
        assert not any(loading.values())  # no missing, unexpected or mismatched keys
        assert_same_features(ours, theirs.eval())
        assert report.artifacts["weights"] == path
        assert "transformers.CLIPModel.from_pretrained" in report.texts[-1]

    def test_a_round_trip_changes_no_bit(self, folder: Path, tmp_path: Path) -> None:
        name = model_file(tmp_path)
        path = export(job_in(tmp_path / "out", ExportConfig(name, "huggingface"), init_from=folder / "model.safetensors"))
        before, after = load_file(folder / "model.safetensors"), load_file(path / "model.safetensors")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
        stated, written = (json.loads((each / "config.json").read_text()) for each in (folder, path))
        for tower in ("text_config", "vision_config"):
            ignored = {"projection_dim"}  # of the towers alone, which a CLIPModel does not read
            assert {key: value for key, value in written[tower].items() if key not in ignored}.items() <= stated[tower].items()

    def test_a_model_that_a_clip_model_cannot_express_is_one_error(self, tmp_path: Path) -> None:
        (tmp_path / "test-resnet.json").write_text(json.dumps({"embed_dim": 32, "vision_cfg": RESNET, "text_cfg": TEXT}))
        model_file(tmp_path, name="test-pooling", pool_type="avg", final_ln_after_pool=True)
        for name, message in (
            ("test-resnet", r"cannot express this model, which has no .* and has visual\.attnpool"),
            ("test-pooling", r"cannot express vision_cfg\.final_ln_after_pool=True, vision_cfg\.pool_type=avg"),
        ):
            torch.save(make_clip(ModelConfig(str(tmp_path / f"{name}.json"))).model.state_dict(), tmp_path / "w.pt")
            with pytest.raises(CheckpointError, match=message):
                export(job_in(tmp_path / "out", ExportConfig(str(tmp_path / f"{name}.json"), "huggingface"), init_from=tmp_path / "w.pt"))
            assert not (tmp_path / "out" / "huggingface").exists()

    @pytest.mark.parametrize(("kind", "what"), [("prompts", "visual prompts"), ("encoders", "two separately trained encoders")])
    def test_prompted_models_and_pairs_of_encoders_are_refused(self, kind: str, what: str, tmp_path: Path) -> None:
        state = make_clip(ModelConfig(model_file(tmp_path))).model.state_dict()
        torch.save({"state_dict": state, "clip_training": {"kind": kind}}, tmp_path / "w.pt")
        with pytest.raises(CheckpointError, match=rf"{what}.*; neither open_clip nor .* can express that\. This project's commands take"):
            export(job_in(tmp_path / "out", ExportConfig(format="huggingface"), init_from=tmp_path / "w.pt"))

    def test_prompts_without_their_model_are_refused_as_what_they_are(self, tmp_path: Path) -> None:
        """As finetune_vpt writes prompts.pt: no CLIP, and not a damaged file either."""
        content = {"state_dict": {"visual.prompts.tokens": torch.zeros(1, 2, 3)}, "clip_training": {"kind": "prompts", "whole": False}}
        torch.save(content, tmp_path / "prompts.pt")
        with pytest.raises(CheckpointError, match=r"prompts\.pt holds visual prompts, which are put in between"):
            export(job_in(tmp_path / "out", ExportConfig(), init_from=tmp_path / "prompts.pt"))

    def test_a_file_in_place_of_the_folder_is_told_before_anything_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "huggingface").write_text("")
        with pytest.raises(ParameterError, match=r"cannot write into .*/huggingface \(Not a directory\)"):
            export(job_in(tmp_path, ExportConfig(format="huggingface"), init_from=tmp_path / "nowhere.pt"))
