"""TensorBoard's event files, read as they grow: scalars and images.

The format is TFRecord (length, CRC-32C of it, data, CRC-32C of that; little-endian) around the protocol buffers of tensorflow/core/util/
event.proto and framework/summary.proto, of which the few fields that are needed are read here: TensorBoard itself is in no environment of
ours. What a field's number means is said where it is used.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEADER = struct.Struct("<QI")
FOOTER = 4
LARGEST = 1 << 28
"""Bytes of a record; a longer one is none, and the file is damaged."""
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""Of tensorflow.DataType, those that a scalar may have."""
VALUES = {5: "<f4", 6: "<f8"}
"""TensorProto's fields of packed floats and doubles."""


@dataclass(frozen=True)
class Point:
    """What one summary says at one step: a number or a picture."""

    tag: str
    step: int
    value: Any


class EventFile:
    """One event file. `new` reads what has been added since the last time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def new(self) -> Iterator[Point]:
        """The points of the records that are whole by now.

        Raises:
            ValueError: the file holds something else.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while len(head := file.read(HEADER.size)) == HEADER.size:
                length, _ = HEADER.unpack(head)
                if length > LARGEST:
                    raise ValueError(f"{self.path} is no event file, or a damaged one")
                data = file.read(length)
                if len(data) < length or len(file.read(FOOTER)) < FOOTER:
                    return
                self.offset = file.tell()
                yield from points(data)


def points(event: bytes) -> Iterator[Point]:
    """The points of an Event: its step (2) and its Summary (5), whose Values (1) they are."""
    found = list(fields(event))
    step = next((number for key, number in found if key == 2), 0)
    for summary in (entry for key, entry in found if key == 5 and isinstance(entry, bytes)):
        for entry in (entry for key, entry in fields(summary) if key == 1):
            value = dict(fields(entry))
            read = value_of(value)
            if read is not None:
                yield Point(value.get(1, b"").decode(errors="replace"), step, read)


def value_of(value: dict[int, Any]) -> Any:
    """A number from simple_value (2) or a tensor (8), a picture from Image (4), of which 4 is the encoded file; else None."""
    if 2 in value:
        return struct.unpack("<f", value[2])[0]
    if 4 in value and (encoded := dict(fields(value[4])).get(4)):
        return Image.open(io.BytesIO(encoded)).convert("RGB")
    return scalar_of(dict(fields(value[8]))) if 8 in value else None


def scalar_of(tensor: dict[int, Any]) -> float | None:
    """The number of a TensorProto: by its dtype (1) in tensor_content (4), or among packed floats (5) or doubles (6)."""
    if tensor.get(4) and (dtype := DTYPES.get(tensor.get(1, 0))):
        numbers = np.frombuffer(tensor[4], dtype)
    else:
        key = next((key for key in VALUES if isinstance(tensor.get(key), bytes)), None)
        numbers = np.frombuffer(tensor[key], VALUES[key]) if key else np.empty(0)
    return float(numbers[0]) if numbers.size == 1 else None


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and contents of each field of a protocol buffer: an int for a varint, else bytes.

    Raises:
        ValueError: it is none.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            number, at = varint(message, at)
            yield key >> 3, number - (1 << 64) if number >> 63 else number
            continue
        if kind == 2:
            size, at = varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or at + size > len(message):
            raise ValueError("no protocol buffer")
        yield key >> 3, message[at : at + size]
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("no protocol buffer")
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return number, at
