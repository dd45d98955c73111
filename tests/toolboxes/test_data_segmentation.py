"""Masks of objects are those that pycocotools decodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as theirs
from support.annotated import SIZE

from toolboxes.data.segmentation import decoded, fault, unpacked

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
MASKS = {
    "noise": np.random.default_rng(0).random((48, 64)) < 0.5,
    "all": np.ones((48, 64), bool),
    "nothing": np.zeros((48, 64), bool),
    "a corner": np.pad(np.ones((1, 1), bool), ((0, 47), (0, 63))),
    "a ring": np.pad(np.pad(np.zeros((10, 10), bool), 5, constant_values=True), ((10, 18), (20, 24))),
    "rare": np.random.default_rng(1).random((48, 64)) < 0.002,
}


@pytest.mark.parametrize("name", MASKS)
def test_packed_run_lengths(name: str) -> None:
    packed: dict[str, Any] = theirs.encode(np.asfortranarray(MASKS[name].astype(np.uint8)))
    stated = json.loads(json.dumps({"size": packed["size"], "counts": packed["counts"].decode()}))
    assert fault(stated, SIZE) is None
    assert (decoded(stated, SIZE) == MASKS[name]).all()
    plain = {"size": stated["size"], "counts": unpacked(stated["counts"]).tolist()}
    assert fault(plain, SIZE) is None
    assert (decoded(plain, SIZE) == MASKS[name]).all()
    assert (theirs.decode(theirs.frPyObjects(plain, 48, 64)) == MASKS[name]).all()


def test_polygons_cover_what_pycocotools_covers_but_for_their_edges() -> None:
    polygons = [[50, 50, 400, 80, 300, 400], [500, 100, 600, 100, 600, 200, 500, 200]]
    assert fault(polygons, (640, 480)) is None
    wanted = theirs.decode(theirs.merge(theirs.frPyObjects(polygons, 480, 640))).astype(bool)
    found = decoded(polygons, (640, 480))
    assert (found & wanted).sum() / (found | wanted).sum() > 0.98


@pytest.mark.parametrize("text", ["", "\u2603", "o", "!", "0" * 5 + "p"])
def test_a_text_that_is_no_packed_mask_is_refused(text: str) -> None:
    assert fault({"size": [48, 64], "counts": text}, SIZE)
