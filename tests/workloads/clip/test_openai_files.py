"""OpenAI's weights are read from TorchScript archives whose programs are never run."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from openai_files import OpenAI, Trap, clip, same, traced
from support.torchscript import scripted
from torch import Tensor, nn

from clip_training.checkpoint import load
from clip_training.config import ModelConfig
from clip_training.model import make_clip
from harness.errors import CheckpointError
from harness.torch.torchscript import read_torchscript


class TestOpenAI:
    @pytest.mark.parametrize("form", ["vit", "resnet"])
    @pytest.mark.parametrize("half", [False, True])
    def test_an_archive_gives_its_tensors(self, form: str, half: bool, tmp_path: Path) -> None:
        model = clip(form)
        if half:
            model.half()
        path = traced(OpenAI(model), tmp_path / "model.pt") if not half else scripted(OpenAI(model), tmp_path / "model.pt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = torch.jit.load(path).state_dict()

        state, description = load(path)

        assert same(state, model)
        assert all(value.dtype == theirs[key].dtype for key, value in state.items())
        assert description.kind == "openai_archive"
        assert description.left_out == {"numbers that are not weights": 4}
        assert "OpenAI's TorchScript archive" in str(description)

    def test_its_weights_are_what_torch_itself_reads(self, tmp_path: Path) -> None:
        path = traced(clip("resnet"), tmp_path / "model.pt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = torch.jit.load(path).state_dict()
        ours = read_torchscript(path)
        assert ours.keys() >= theirs.keys()
        assert all(torch.equal(ours[key], value) for key, value in theirs.items())

    def test_a_state_dict_gives_the_same(self, tmp_path: Path) -> None:
        model = clip()
        torch.save(OpenAI(model).state_dict(), tmp_path / "state.pt")
        state, description = load(tmp_path / "state.pt")
        assert same(state, model)
        assert description.kind == "openai"

    def test_a_model_with_its_weights_computes_the_same_as_the_archive(self, tiny_model: Path, tmp_path: Path) -> None:
        one = make_clip(ModelConfig(name=str(tiny_model))).model.eval()
        one.visual.patch_dropout = nn.Identity()
        path = traced(one, tmp_path / "model.pt")
        other = make_clip(ModelConfig(name=str(tiny_model), pretrained=str(path))).model.eval()
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(one.encode_image(images), other.encode_image(images))


class TestArchivesAreNotRun:
    def rewritten(self, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
        """The archive with its entries changed."""
        target = path.with_name(f"changed-{path.name}")
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as other:
            for name in archive.namelist():
                if (content := change(name, archive.read(name))) is not None:
                    other.writestr(name, content)
        return target

    def test_the_program_is_never_read(self, tmp_path: Path) -> None:
        path = traced(clip(), tmp_path / "model.pt")
        path = self.rewritten(path, lambda name, content: b"no program at all" if "/code/" in name else content)
        with pytest.raises(RuntimeError):
            torch.jit.load(path)
        assert same(load(path)[0], clip())

    def test_the_program_s_load_hook_is_not_run(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.script(Alarmed()).save(str(path))
            with pytest.raises(torch.jit.Error, match="the program ran"):
                torch.jit.load(path)
        with pytest.raises(CheckpointError, match="holds no"):
            load(path)

    def test_another_type_is_refused_and_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = traced(clip(), tmp_path / "model.pt")
        path = self.rewritten(path, lambda name, content: pickle.dumps({"a": Trap()}) if name.endswith("/data.pkl") else content)
        with pytest.raises(CheckpointError, match=r"holds the type posix\.mkdir"):
            load(path)
        assert not Path("trapped").exists()

    @pytest.mark.parametrize("damage", ["storage gone", "storage short", "pickle cut", "archive cut"])
    def test_a_damaged_archive_is_an_error(self, damage: str, tmp_path: Path) -> None:
        path = traced(clip(), tmp_path / "model.pt")
        changes: dict[str, Callable[[str, bytes], bytes | None]] = {
            "storage gone": lambda name, content: None if name.endswith("/data/7") else content,
            "storage short": lambda name, content: content[:4] if "/data/" in name else content,
            "pickle cut": lambda name, content: content[:200] if name.endswith("/data.pkl") else content,
            "archive cut": lambda _, content: content,
        }
        path = self.rewritten(path, changes[damage])
        if damage == "archive cut":
            path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(CheckpointError, match=path.name):
            load(path)


class Alarmed(nn.Module):
    """A program that runs when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self) -> Tensor:
        return self.weight

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.weight = state[0]
        self.training = state[1]
        raise RuntimeError("the program ran")
