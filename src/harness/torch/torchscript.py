"""Reading the parameters and buffers from a TorchScript archive without running its program.

Such an archive is a zip file: `data.pkl` holds the tree of modules as a pickle, `data/N` the bytes of the tensors, `code/` the program.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import CheckpointError


def is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by their dotted names, including plain attributes that are tensors.

    Raises:
        CheckpointError: for a damaged archive, and for one with types other than modules and tensors, naming the type.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            tree = Reader(archive, pickled.removesuffix("data.pkl")).load()
            return dict(tensors_of(tree))
    except RefusedTypeError as error:
        raise CheckpointError(f"{path} holds the type {error}, which no TorchScript archive needs; none of it was run") from error
    except DAMAGE as error:
        raise CheckpointError(f"{path} is a damaged TorchScript archive: {type(error).__name__} {error}") from error


DAMAGE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    RuntimeError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    EOFError,
    StopIteration,
)
"""Exceptions that reading a damaged archive raises."""


class RefusedTypeError(CheckpointError):
    """A type that is not allowed in an archive; its message is the type's name."""


class Module:
    """Stands for any class of the program, as a plain container of attributes."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})  # not a dict: the class has its own __getstate__


def as_is(value: Any) -> Any:
    return value


ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    **{("torch.jit._pickle", f"build_{kind}list"): as_is for kind in ("int", "double", "bool", "tensor")},
    ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
}
DTYPES = {
    **{f"{name}Storage": getattr(torch, name.lower()) for name in ("Float", "Double", "Half", "BFloat16", "Int", "Long", "Short", "Bool")},
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
}


class Reader(pickle.Unpickler):
    """Unpickles modules and tensors. A pickle can reach no callable except harmless ones and those defined in this file.

    Args:
        archive: the zip file.
        prefix: of the names of its entries.
    """

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(BytesIO(archive.read(f"{prefix}data.pkl")))
        self.archive, self.prefix = archive, prefix
        self.storages: dict[str, Tensor] = {}
        if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
            raise ValueError("big-endian tensors are not supported")

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "__torch__":
            return Module
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return rebuild
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise RefusedTypeError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        """The flat tensor that ('storage', dtype, key, device, elements) names."""
        _, dtype, key, _, _ = pid
        if key not in self.storages:
            content = bytearray(self.archive.read(f"{self.prefix}data/{key}"))
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self.storages[key]


def rebuild(flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A view of a storage. Raises a RuntimeError when it extends beyond the storage's end."""
    return torch.as_strided(flat, size, stride, offset)


def tensors_of(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Module):
            yield from tensors_of(value, f"{prefix}{name}.")
