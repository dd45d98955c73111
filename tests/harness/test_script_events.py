"""TensorBoard's event files, against files that tensorboardX 2.6.5 and its protocol buffers wrote."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import pytest

from harness.wrapped.events import EventFile

WRITTEN = """
eNqTYICAxfXeSpyi9jucow/fcpTiTSpKzMzTcy1LzSuxMkrctaNYAapO8+3KAE6Ncog6AUYtYS5BLq6c/OJi/RKQFlGgEns7sdvXFaHqGavffOPUaICqX8OE
RUODHWtDXrkcVMPNO0JGnMxtUA1MWoJc/FwcicnJpUWJyZVA1Q72k0y2NZdCVV+/6VjBOa0dqppdK4MrjYu3ODG3ICe1WD8ts6i4RCmUg0WATYJZybczwM+d
l0uKC6iN19PDJQhIswExCwcTkFRKuykCpEQ8XRxDKuYk52RkJDiw+vBINFgoMhTUMHawNAYvAlno6ernss4poemUbWqcLdQRCZ4f33DGd8DDxIBLj0swL78k
Vb8ktaIkvrg0NzexqNKJn4NdiEWIiYPRiTUjNScn34uDi42LBaQkM73GDQAT8ml6
"""
"""add_scalar, add_image and add_text."""
OF_TENSORFLOW = """
eNpTZoCADfPLnTkhzA/2WhJcYlxcqQX5yRnxOfnFxU4cHIxaLAwMB+wz/0zZqArV8mqP2We4FgFGbJqUgJoUHNbwrfmnCdVk/j+eAaGJSUuGSwpFEw8HpxLH
3/8QwJF3lw27RmYsGpmMOCDyQg5PHFY4qUM17n640Q2h8T8MMGoJcvFzceSlpieWZJalijIwNNhfvrf3CgDe5UlR
"""
"""Tensors with one number each: a float, a float as bytes, an int64 as bytes, a double; then a step of -1."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.out.tfevents.0.host"


def bytes_of(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def test_scalars_and_pictures_are_read_and_texts_passed_over(path: Path) -> None:
    path.write_bytes(bytes_of(WRITTEN))
    *scalars, picture = EventFile(path).new()
    assert [(point.tag, point.step, point.value) for point in scalars] == [
        ("loss/train", 1, 0.5),
        ("loss/train", 300, 0.25),
        ("accuracy", 2, 0.75),
    ]
    assert (picture.tag, picture.step, picture.value.size) == ("samples/first", 7, (6, 4))
    assert picture.value.getpixel((5, 3)) == (128, 128, 128)


def test_numbers_in_tensors_are_read_in_each_of_their_forms(path: Path) -> None:
    path.write_bytes(bytes_of(OF_TENSORFLOW))
    assert [(point.step, point.value) for point in EventFile(path).new()] == [(0, 1.5), (1, 2.5), (2, -3.0), (3, 4.5), (-1, 1.0)]


def test_a_file_that_grows_is_read_once_whatever_piece_of_it_is_there(path: Path) -> None:
    whole = bytes_of(OF_TENSORFLOW)
    file, steps = EventFile(path), []
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        steps += [point.step for point in file.new()]
    assert steps == [0, 1, 2, 3, -1]


@pytest.mark.parametrize("damage", [b"\xff" * 64, bytes_of(OF_TENSORFLOW)[:12] + b"\xff" * 60])
def test_something_else_is_said_to_be_so(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(ValueError, match=r"no event file|no protocol buffer"):
        list(EventFile(path).new())
