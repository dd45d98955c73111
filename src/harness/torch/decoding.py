"""Decoding images from users' data to what a person sees, in the same way for every reader."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from harness.errors import DataError

BACKGROUND = (255, 255, 255, 255)
"""Transparent pixels show white. The colours that a file stores for them are not part of the picture."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns a picture upright, by EXIF orientation."""
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes with more than 8 bits, which Pillow's own conversion would clip instead of scaling."""


class UndecodableError(DataError):
    """Bytes that are not a picture, or a picture whose values have no defined colours."""


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of all formats that Pillow opens, in lower case."""
    Image.init()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def decode(content: bytes) -> Image.Image:
    """The picture in RGB: its first frame, upright, on a white background, scaled to 8 bits.

    Raises:
        UndecodableError: when Pillow cannot read it, also because it is truncated or implausibly large.
    """
    try:
        with Image.open(io.BytesIO(content)) as stored:
            stored.load()
            return opaque(scaled(upright(stored)))
    except (UndecodableError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UndecodableError("cannot identify the format of the image") from error
    except Exception as error:  # on damaged files Pillow's many decoders raise exceptions of any type
        raise UndecodableError(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; damaged EXIF data are ignored."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF data raise exceptions of many types, and the picture itself is intact
        return image
    return image if turn is None else image.transpose(turn)


def scaled(image: Image.Image) -> Image.Image:
    """A picture with 8 bits: 16-bit greys are scaled from 0..65535, floating-point greys from 0..1.

    Raises:
        UndecodableError: for values outside that range, because it is unknown which value is white.
    """
    if image.mode not in DEEP:
        return image
    values = np.asarray(image)
    white = 1 if image.mode == "F" else 65535
    least, most = values.min(), values.max()
    if not (least >= 0 and most <= white):
        raise UndecodableError(f"its greys range from {least} to {most}, but must be between 0 and {white}; convert it to 8 or 16 bits")
    grey = Image.fromarray(np.rint(values / white * 255).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def opaque(image: Image.Image) -> Image.Image:
    """An 8-bit picture in RGB, with transparent pixels blended with the background."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")
