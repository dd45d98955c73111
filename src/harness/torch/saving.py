"""Writing weights to files, completely or not at all; what prevents it is told in one line, with the space that is needed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import CheckpointError
from harness.files import replaced

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def save(content: object, path: Path) -> None:
    """`torch.save`, except that a file system's refusal is an OSError, which states how much space is needed.

    PyTorch reports it as a RuntimeError about positions in the archive, whose context is the OSError if the file is one of Python.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        if (refusal := refusal_behind(error)) is None:
            raise
        raise with_space(refusal, path, bytes_of(content)) from error


def save_whole(content: object, path: Path) -> None:
    """`save` to a file that appears whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    with written(path) as beside:
        save(content, beside)


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous weights that share no memory as a safetensors file, which appears whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with written(path) as beside:
        try:
            save_file(dict(state), beside, {"format": "pt"})  # transformers refuses a file without this mark
        except SafetensorError as error:  # tells the reason as a text only
            raise with_space(OSError(errno.ENOSPC if "os error 28" in str(error) else 0, str(error)), path, bytes_of(state)) from error


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """As `files.replaced`, for weights.

    Raises:
        CheckpointError: instead of an OSError.
    """
    try:
        with replaced(path) as beside:
            yield beside
    except OSError as error:
        raise CheckpointError(f"{path} could not be written: {error.strerror or error}") from error


def refusal_behind(error: BaseException | None) -> OSError | None:
    """The exception itself if it is an OSError, else the one during whose handling it was raised, if any."""
    return error if error is None or isinstance(error, OSError) else refusal_behind(error.__context__)


def with_space(error: OSError, path: Path, needed: int) -> OSError:
    """The same error, with the needed and the free space if it is about space."""
    if error.errno not in FULL:
        return OSError(error.errno, error.strerror, str(path))
    state = os.statvfs(path.parent)
    free = (path.stat().st_size if path.exists() else 0) + state.f_bavail * state.f_frsize
    return OSError(error.errno, f"{error.strerror}: it needs {megabytes(needed)}, and {megabytes(free)} are free", str(path))


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def bytes_of(content: object) -> int:
    """Bytes of the tensors in nested containers; memory that several share is counted once, as it is stored once."""
    found: dict[int, int] = {}
    todo = [content]
    while todo:
        each = todo.pop()
        if isinstance(each, Tensor):
            storage = each.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(each, Mapping):
            todo += each.values()
        elif isinstance(each, list | tuple):
            todo += each
    return sum(found.values())
