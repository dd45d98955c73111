"""Image files: what their headers say, whether they can be decoded, and which files are the same."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from .dataset import Header

T = TypeVar("T")
R = TypeVar("R")
ORIENTATION = 274
"""EXIF's tag."""
SIDEWAYS = 5
"""EXIF's orientations from here on exchange width and height."""
TAIL = 4096
USUAL_MODES = frozenset({"RGB", "L"})


def mapped(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map`, in order, with a thread per core: reading files and Pillow's decoders let other threads run."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="data") as pool:
        yield from pool.map(function, items, chunksize=1)


def header(path: Path, *, deep: bool = False) -> Header | str | None:
    """What an image's header says; why it cannot be read, as text; None if there is no such file.

    Args:
        path: of the file.
        deep: decode all of it.
    """
    try:
        with Image.open(path) as image:
            if deep:
                image.load()
            turn = orientation(image)
            width, height = image.size if turn < SIDEWAYS else image.size[::-1]
            return Header(width, height, image.mode, turn)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as fault:  # a damaged image's error may be of any type
        return told(fault)


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8; 1 without one."""
    if not any(key in image.info for key in ("exif", "Raw profile type exif")) and image.format not in {"TIFF", "MPO"}:
        return 1
    try:
        stated = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data may raise anything; OpenCV then does not turn the image
        return 1
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def told(fault: Exception) -> str:
    if isinstance(fault, Image.UnidentifiedImageError):
        return "not an image"
    return str(fault) or type(fault).__name__


def twins(ones: Iterable[Path], others: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """The files of `others` whose contents a file of `ones` has: (that one, this one).

    Only files of equal size are read; of these, each file's end, and those of equal end whole.
    """
    sizes, wanted = ({path: size for path in dict.fromkeys(paths) if (size := size_of(path)) is not None} for paths in (ones, others))
    shared = set(sizes.values()) & set(wanted.values())
    alike: dict[tuple[int, bytes], list[Path]] = defaultdict(list)
    for path, size in sizes.items():
        if size in shared:
            alike[size, tail(path, size)].append(path)
    for path, size in wanted.items():
        if path in sizes:
            yield path, path
        elif size in shared:
            match = next((one for one in alike.get((size, tail(path, size)), ()) if digest(one) == digest(path)), None)
            if match is not None:
                yield match, path


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def tail(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, size - TAIL))
        return stream.read()


def digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
