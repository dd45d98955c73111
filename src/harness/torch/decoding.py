"""Pictures from people's data, decoded as a person sees them: one way for whatever reads them."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

BACKGROUND = (255, 255, 255, 255)
"""What transparent pixels show: white. The colours that a file stores below them are no part of the picture."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by EXIF's orientation."""
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes of more than 8 bits, which it would clip rather than scale."""


class Undecodable(ValueError):  # noqa: N818  as `Unusable`, it is no error of the run
    """Bytes that are no picture, or one that has no colours to show."""


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Every suffix, in lower case, of a format that Pillow opens."""
    Image.init()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def decode(content: bytes) -> Image.Image:
    """The picture in RGB: the first frame, upright, on white, whatever has more than 8 bits scaled to them.

    Raises:
        Undecodable: when Pillow cannot read it, truncated files and implausibly large ones included.
    """
    try:
        with Image.open(io.BytesIO(content)) as stored:
            stored.load()
            return opaque(scaled(upright(stored)))
    except (Undecodable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Undecodable("cannot identify the format of the image") from error
    except Exception as error:  # damaged files make Pillow's many decoders raise whatever they stumble over
        raise Undecodable(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; damaged ones say nothing."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # of many kinds, and the picture itself is whole
        return image
    return image if turn is None else image.transpose(turn)


def scaled(image: Image.Image) -> Image.Image:
    """A picture of 8 bits: greys of 16 bits scaled from 0 to 65535, floating-point ones from 0 to 1.

    Raises:
        Undecodable: for values out of that range, of which nobody knows what is white.
    """
    if image.mode not in DEEP:
        return image
    values = np.asarray(image)
    white = 1 if image.mode == "F" else 65535
    least, most = values.min(), values.max()
    if not (least >= 0 and most <= white):
        raise Undecodable(f"its greys go from {least} to {most}, where 0 to {white} can be scaled; convert it to 8 or 16 bits")
    grey = Image.fromarray(np.rint(values / white * 255).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def opaque(image: Image.Image) -> Image.Image:
    """A picture of 8 bits in RGB, what is transparent laid over the background."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")
