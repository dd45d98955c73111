"""Weights are read without running any code in the file."""

from __future__ import annotations

import json
import os
import pickle
from datetime import date
from pathlib import Path

import pytest
import torch

from harness.errors import CheckpointError
from harness.torch.weights import load_into, read_checkpoint, read_weights


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("trapped",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_refused_type_is_named_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "made": date(2024, 1, 1)}, "dated.pt")
    torch.save({"weight": Trap()}, "trap.pt")
    Path("plain.pkl").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(CheckpointError, match=r"dated\.pt holds the type datetime\.date"):
        read_weights(Path("dated.pt"))
    with pytest.raises(CheckpointError, match=r"trap\.pt holds the type posix\.mkdir"):
        read_weights(Path("trap.pt"))
    with pytest.raises(CheckpointError, match=r"plain\.pkl"):
        read_weights(Path("plain.pkl"))
    assert not Path("trapped").exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 torn"])
def test_a_file_without_weights_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pt"):
        read_weights(tmp_path / "x.pt")


def test_the_tensors_of_a_torchscript_archive_are_read_without_running_it(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    with pytest.warns(FutureWarning):
        torch.jit.script(module).save(tmp_path / "program.pt")
    read = read_weights(tmp_path / "program.pt")
    assert read.keys() == module.state_dict().keys()
    assert all(torch.equal(read[key], value) for key, value in module.state_dict().items())
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_checkpoint(tmp_path / "program.pt")  # where a program's other contents would be wanted


def test_a_state_dict_is_found_in_its_wrappers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {"weight": torch.arange(4.0), "inner.bias": torch.ones(1)}
    save_file(state, tmp_path / "plain.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "wrapped.pt")
    for name in ("plain.safetensors", "wrapped.pt"):
        read = read_weights(tmp_path / name)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        read_weights(tmp_path / "list.pt")


def test_the_only_state_dict_is_taken_whatever_its_entry_is_called(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {"weight": torch.arange(4.0)}
    torch.save({"net": state, "epoch": 3}, tmp_path / "net.pt")
    assert torch.equal(read_weights(tmp_path / "net.pt")["weight"], state["weight"])
    assert "net.pt: the weights are those of its entry 'net'" in caplog.text
    torch.save({"net": state, "ema": state}, tmp_path / "two.pt")
    with pytest.raises(CheckpointError, match=r"'net' \(1 tensors\) and 'ema' \(1 tensors\); save the one that you mean"):
        read_weights(tmp_path / "two.pt")


class TestParts:
    """An index and its parts in Hugging Face's form; test_hugging_face.py reads those that transformers itself writes."""

    def written(self, folder: Path, places: dict[str, str]) -> Path:
        for number, name in enumerate(("a.bin", "b.bin")):
            torch.save({name[0]: torch.full((2,), float(number))}, folder / name)
        index = folder / "pytorch_model.bin.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
        return index

    def test_they_are_one_state_dict(self, tmp_path: Path) -> None:
        read = read_weights(self.written(tmp_path, {"a": "a.bin", "b": "b.bin"}))
        assert {key: value.tolist() for key, value in read.items()} == {"a": [0, 0], "b": [1, 1]}

    @pytest.mark.parametrize(
        ("places", "message"),
        [
            ({"a": "a.bin", "c": "b.bin"}, "differ in b, c"),
            ({"a": "a.bin", "b": "c.bin"}, "names c.bin, which must lie beside it"),
            ({"a": "../a.bin", "b": "b.bin"}, "names ../a.bin, which must lie beside it"),
        ],
    )
    def test_an_index_that_does_not_fit_its_parts_is_an_error(self, places: dict[str, str], message: str, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=message):
            read_weights(self.written(tmp_path, places))

    @pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}'])
    def test_another_file_of_that_name_is_an_error(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "x.index.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"x\.index\.json is not an index of weights"):
            read_weights(tmp_path / "x.index.json")


def test_weights_that_do_not_fit_leave_the_model_unchanged(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    before = model.weight.clone()
    with pytest.raises(CheckpointError, match=r"lacks bias.*weight is \(2, 2\), in the model \(3, 2\)"):
        load_into(model, {"weight": torch.zeros(2, 2)}, tmp_path / "w.pt")
    assert torch.equal(model.weight, before)
