"""Pictures as a person sees them: each file is made by Pillow or by hand, and what it must show is computed with NumPy."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import ExifTags, Image

from harness.torch.decoding import UndecodableError, decode

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def stored(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(bits: int, colour: int, samples: np.ndarray) -> bytes:
    """A PNG of (H, W, channels), by the specification: Pillow writes no colours of 16 bits."""
    height, width = samples.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2" if bits == 16 else "u1").tobytes() for line in samples)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def shown(content: bytes) -> np.ndarray:
    image = decode(content)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, 2)


class TestDepth:
    RAMP = np.linspace(0, 65535, 16 * 16).round().astype(np.uint16).reshape(16, 16)
    SCALED = np.rint(RAMP / 257).astype(np.uint8)

    @pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
    def test_greys_of_16_bits_are_scaled(self, form: str) -> None:
        assert (shown(stored(Image.fromarray(self.RAMP), form)) == grey(self.SCALED)).all()
        assert self.SCALED.max() == 255

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_both_byte_orders_are_read(self, order: str) -> None:
        image = Image.frombytes("I;16" if order == "<" else "I;16B", (16, 16), self.RAMP.astype(f"{order}u2").tobytes())
        assert (shown(stored(image, "TIFF")) == grey(self.SCALED)).all()

    def test_greys_of_32_bits_and_floats(self) -> None:
        assert (shown(stored(Image.fromarray(self.RAMP.astype(np.int32)), "TIFF")) == grey(self.SCALED)).all()
        assert (shown(stored(Image.fromarray((self.RAMP / 65535).astype(np.float32)), "TIFF")) == grey(self.SCALED)).all()

    @pytest.mark.parametrize(
        ("values", "told"),
        [
            (np.array([[0, 70000]], np.int32), "from 0 to 70000, but must be between 0 and 65535"),
            (np.array([[-1, 5]], np.int32), "from -1 to 5"),
            (np.array([[0, 255]], np.float32), r"from 0.0 to 255.0, but must be between 0 and 1"),
            (np.array([[0, np.nan]], np.float32), "from nan to nan"),
        ],
    )
    def test_values_out_of_range_are_an_error(self, values: np.ndarray, told: str) -> None:
        with pytest.raises(UndecodableError, match=told):
            decode(stored(Image.fromarray(values), "TIFF"))

    @pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
    def test_every_kind_of_16_bit_png(self, colour: int, channels: int) -> None:
        """Grey, RGB, grey with alpha, RGBA; to one step, since Pillow drops the low byte of colours where greys are rounded."""
        samples = RNG.integers(0, 65536, (5, 7, channels)).astype(np.uint16)
        alpha = samples[..., -1:] / 65535 if channels in (2, 4) else 1
        colours = samples[..., : 3 if channels > 2 else 1] / 257
        wanted = np.broadcast_to(colours * alpha + 255 * (1 - alpha), (5, 7, 3))
        assert np.abs(shown(png(16, colour, samples)) - wanted).max() <= 2


class TestTurns:
    """The eight orientations of EXIF 2.3, table 6: where the stored picture's first row and first column are when it is looked at."""

    STORED: ClassVar = {
        1: lambda seen: seen,
        2: lambda seen: seen[:, ::-1],
        3: lambda seen: seen[::-1, ::-1],
        4: lambda seen: seen[::-1],
        5: lambda seen: seen.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
        8: lambda seen: np.rot90(seen, -1),
    }

    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
    def test_a_picture_is_upright(self, form: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options = {"lossless": True} if form == "WEBP" else {}
        image = Image.fromarray(np.ascontiguousarray(self.STORED[orientation](PIXELS)))
        assert (shown(stored(image, form, exif=exif, **options)) == PIXELS).all()

    def test_a_photograph_held_upright(self) -> None:
        """As cameras store it: lying, with orientation 6. The sky, above, is stored at the left."""
        seen = np.zeros((32, 16, 3), np.uint8)
        seen[:16] = 255
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        found = shown(stored(Image.fromarray(np.ascontiguousarray(np.rot90(seen))), "JPEG", exif=exif, quality=95))
        assert found.shape == (32, 16, 3)
        assert found[:15].mean() > 250
        assert found[17:].mean() < 5

    @pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"junk"])
    def test_damaged_exif_data_are_ignored(self, exif: bytes) -> None:
        assert (shown(stored(Image.fromarray(PIXELS), "PNG", exif=exif)) == PIXELS).all()

    def test_a_16_bit_picture_is_turned_too(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        seen = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257 * 51
        content = stored(Image.fromarray(np.ascontiguousarray(np.rot90(seen))), "PNG", exif=exif)
        assert (shown(content) == grey((seen // 257).astype(np.uint8))).all()


class TestTransparency:
    ALPHA = RNG.integers(0, 256, (6, 9), np.uint8)

    def over_white(self, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        share = alpha[..., None] / 255
        return colours * share + 255 * (1 - share)

    @pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
    def test_transparent_colours_are_blended_with_white(self, form: str) -> None:
        image = Image.fromarray(np.dstack([PIXELS, self.ALPHA]))
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        assert np.abs(shown(stored(image, form, **options)) - self.over_white(PIXELS, self.ALPHA)).max() <= 1

    def test_transparent_greys_are_blended_with_white(self) -> None:
        image = Image.merge("LA", [Image.fromarray(PIXELS[..., 0]), Image.fromarray(self.ALPHA)])
        assert np.abs(shown(stored(image)) - self.over_white(grey(PIXELS[..., 0]), self.ALPHA)).max() <= 1

    def test_colours_below_transparent_pixels_are_hidden(self) -> None:
        assert (shown(stored(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))) == 255).all()

    @pytest.mark.parametrize(("form", "clear"), [("PNG", 1), ("GIF", 1), ("PNG", b"\xff\0\xff")])
    def test_a_palette_s_transparent_entry_is_white(self, form: str, clear: int | bytes) -> None:
        image = Image.new("P", (3, 1))
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        for place in range(3):
            image.putpixel((place, 0), place)
        assert shown(stored(image, form, transparency=clear))[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]

    @pytest.mark.parametrize(("image", "clear"), [("L", 40), ("RGB", (40, 40, 40)), ("I;16", 40 * 257)])
    def test_a_transparent_colour_is_white(self, image: str, clear: Any) -> None:
        values = np.array([[0, 40, 80]], np.uint8)
        picture = Image.fromarray(values.astype(np.uint16) * 257) if image == "I;16" else Image.fromarray(values).convert(image)
        assert shown(stored(picture, transparency=clear))[0].tolist() == [[0] * 3, [255] * 3, [80] * 3]


class TestColours:
    def test_cmyk_is_converted_to_the_printed_colours(self) -> None:
        """(1 - ink) * (1 - black) of each colour."""
        inks = np.array([[[0, 255, 255, 0], [255, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
        wanted = [[255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 255, 255], [127, 127, 127]]
        image = Image.frombytes("CMYK", (5, 1), inks.tobytes())
        assert np.abs(shown(stored(image, "TIFF"))[0].astype(int) - wanted).max() <= 1
        wide = image.resize((80, 16), Image.Resampling.NEAREST)
        assert np.abs(shown(stored(wide, "JPEG", quality=100))[8, 8::16].astype(int) - wanted).max() <= 4

    @pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "RGB"])
    def test_other_modes_are_converted_by_pillow(self, mode: str) -> None:
        image = Image.fromarray(PIXELS).convert(mode)
        assert (shown(stored(image, "TIFF")) == np.asarray(image.convert("RGB"))).all()

    def test_the_first_of_several_frames_is_used(self) -> None:
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
        assert shown(stored(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0].tolist() == [255, 0, 0]


FORMS = ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI", "ICNS", "DDS", "AVIF"]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about what is damaged
@pytest.mark.parametrize("form", FORMS)
def test_any_damage_gives_the_same_error(form: str) -> None:
    """Cut anywhere, or with bytes overwritten: a picture or `UndecodableError`, never another exception that would end a run."""
    rng = np.random.default_rng(1)
    whole = stored(Image.fromarray(PIXELS).resize((32, 32)), form)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 4):
            damaged[place] = rng.integers(0, 256)
        for content in (bytes(damaged), whole[: rng.integers(0, len(whole))]):
            with contextlib.suppress(UndecodableError):
                assert decode(content).mode == "RGB"
