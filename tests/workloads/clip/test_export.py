"""`command=export` writes files that open_clip loads."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from support.lines import run_line
from support.training import job_in

from clip_training.config import ExportConfig, ModelConfig
from clip_training.export import export
from clip_training.known_models import alike, names_of
from clip_training.model import make_clip
from harness.errors import CheckpointError, ParameterError
from harness.report import Recorder


@pytest.fixture
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return make_clip(ModelConfig(name=str(tiny_model))).model


def loaded_by_open_clip(name: str, path: Path) -> dict[str, torch.Tensor]:
    return open_clip.create_model(name, pretrained=str(path)).state_dict()


@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_open_clip_loads_what_was_exported(form: str, model: torch.nn.Module, tiny_model: Path, tmp_path: Path) -> None:
    wrapped = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}
    torch.save(wrapped, tmp_path / "epoch_3.pt")
    report = Recorder()
    asked = ExportConfig(name=str(tiny_model), format=form)
    path = export(job_in(tmp_path / "out", asked, report=report, init_from=tmp_path / "epoch_3.pt"))

    assert path == tmp_path / "out" / f"weights.{form}" == report.artifacts["weights"]
    plain = load_file(path) if form == "safetensors" else torch.load(path, weights_only=True)
    found = loaded_by_open_clip("test-tiny", path)
    for state in (plain, found):
        assert state.keys() == model.state_dict().keys()
        assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert "a checkpoint of open_clip's training program: vision transformer, 1 blocks, width 32" in report.texts[0]
    assert "open_clip.create_model('test-tiny', pretrained=" in report.texts[1]


def test_the_model_is_found_by_shapes_or_by_the_file_s_metadata(model: torch.nn.Module, tiny_model: Path, tmp_path: Path) -> None:
    """The test's model is distinguished from open_clip's models."""
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}, "identity": {"model": "test-tiny"}}, tmp_path / "a.ckpt"
    )
    report = Recorder()
    export(job_in(tmp_path, ExportConfig(), report=report, init_from=tmp_path / "a.ckpt"))
    assert "create_model('test-tiny'" in report.texts[-1]


def test_the_paper_s_models_are_recognised_and_openai_s_get_quickgelu() -> None:
    from clip_training.checkpoint import Description

    with torch.device("meta"):
        state = open_clip.create_model("RN50", load_weights=False, device="meta").state_dict()
    assert names_of(state, Description(Path("a.pt"), "openai"))[0] == "RN50-quickgelu"
    assert names_of(state, Description(Path("a.pt"), "plain"))[0] == "RN50"
    assert not alike(open_clip.get_model_config("RN101"), state)


def test_a_model_that_open_clip_lacks_is_an_error(model: torch.nn.Module, tmp_path: Path) -> None:
    state = model.state_dict()
    state["visual.prompts"] = torch.zeros(3)
    torch.save(state, tmp_path / "prompted.pt")
    with pytest.raises(CheckpointError, match=r"no open_clip model has these shapes: set name=NAME"):
        export(job_in(tmp_path, ExportConfig(), init_from=tmp_path / "prompted.pt"))
    with pytest.raises(CheckpointError, match=r"has visual\.prompts, which the model lacks.*vision transformer"):
        export(job_in(tmp_path, ExportConfig(name="test-tiny"), init_from=tmp_path / "prompted.pt"))
    with pytest.raises(ParameterError, match="did you mean ViT-B-32"):
        export(job_in(tmp_path, ExportConfig(name="ViT-B-23"), init_from=tmp_path / "prompted.pt"))
    with pytest.raises(ParameterError, match="init_from is required"):
        export(job_in(tmp_path, ExportConfig(), init_from=None))
    assert not (tmp_path / "weights.pt").exists()


def test_the_command_line(model: torch.nn.Module, tiny_model: Path, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    done = run_line("clip_training.export", f"init_from={tmp_path / 'plain.pt'}", f"name={tiny_model}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tensors are in" in done.stdout
    assert len(list(tmp_path.glob("outputs/clip/export-*/weights.pt"))) == 1
