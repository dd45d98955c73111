"""The formats in which scenes are written, by name."""

from __future__ import annotations

from collections.abc import Mapping

from .coco import Coco
from .format import Format, Sample
from .pairs import Pairs
from .sherlock import Sherlock
from .voc import Voc

__all__ = ["FORMATS", "Format", "Sample"]

FORMATS: Mapping[str, type[Format]] = {"pairs": Pairs, "coco": Coco, "voc": Voc, "sherlock": Sherlock}
