"""The 56 named objects and their stand-ins. Names and splits are those of cliport/cliport at 2be5c47, tasks/packing_google_objects.py."""

from __future__ import annotations

import numpy as np
import pytest

from cliport.tasks import TaskError, make
from cliport.tasks.objects import ALL, SEEN, STAND_INS, UNSEEN, named_object, objects

TYPED_SEEN = """
alarm clock, android toy, black boot with leopard print, black fedora, black razer mouse, black sandal, black shoe with orange stripes,
bull figure, butterfinger chocolate, c clamp, can opener, crayon box, dog statue, frypan, green and white striped towel,
grey soccer shoe with cleats, hard drive, honey dipper, magnifying glass, mario figure, nintendo 3ds, nintendo cartridge, office depot box,
orca plush toy, pepsi gold caffeine free box, pepsi wild cherry box, porcelain cup, purple tape, red and white flashlight, rhino figure,
rocket racoon figure, scissors, silver tape, spatula with purple head, spiderman figure, tablet, toy school bus
"""
TYPED_UNSEEN = """
ball puzzle, black and blue sneakers, black shoe with green stripes, brown fedora, dinosaur figure, hammer,
light brown boot with golden laces, lion figure, pepsi max box, pepsi next box, porcelain salad plate, porcelain spoon,
red and white striped towel, red cup, screwdriver, toy train, unicorn toy, white razer mouse, yoshi figure
"""


def typed(names: str) -> list[str]:
    return [name.strip() for name in names.replace("\n", " ").split(",")]


def test_the_names_are_the_benchmarks() -> None:
    assert list(SEEN) == typed(TYPED_SEEN)
    assert list(UNSEEN) == typed(TYPED_UNSEEN)
    assert (len(SEEN), len(UNSEEN), len(ALL)) == (37, 19, 56)
    assert set(ALL) == {*SEEN, *UNSEEN}


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_seen_tasks_show_all_and_unseen_tasks_others_after_training(mode: str) -> None:
    assert objects("seen", mode) == ALL
    assert objects("unseen", mode) == (SEEN if mode == "train" else UNSEEN)


def test_stand_ins_look_distinct_and_are_about_as_large_as_in_life() -> None:
    looks = set()
    for name in ALL:
        made = named_object(name)
        assert 0.08 <= max(made.size) <= 0.37, name
        assert made.size[2] < 0.18, name
        assert made.mass == 0.1
        np.testing.assert_allclose(made.middle, 0, atol=1e-9)
        np.testing.assert_allclose(np.ptp(made.vertices, axis=0), made.size, atol=1e-9)
        looks.add((tuple(np.round(made.size, 4)), tuple(mesh.color for mesh in made.meshes)))
    assert len(looks) == 56


@pytest.mark.parametrize(
    ("name", "longest"), [("hammer", 0.3), ("frypan", 0.36), ("black razer mouse", 0.125), ("porcelain cup", 0.12), ("tablet", 0.24)]
)
def test_a_stand_in_has_the_length_of_the_thing(name: str, longest: float) -> None:
    assert max(named_object(name).size) == pytest.approx(longest)


def test_an_unknown_object_is_answered_with_the_nearest() -> None:
    with pytest.raises(TaskError, match="hammer"):
        named_object("hamer")


def test_it_is_said_that_stand_ins_are_not_scans() -> None:
    assert "not scans" in STAND_INS.here
    for name in ("packing-seen-google-objects-seq", "packing-unseen-google-objects-group"):
        assert STAND_INS in make(name).differs
        assert STAND_INS not in make(name, assets="somewhere").differs
