"""The original's agents, by the names and numbers of its own code: `../fixtures/README.md` says how they were made."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import original_rule as rule
import pytest
import torch
from numbers_of_original import FIXTURES, KEYS, Numbers, Ran, height_map, made, matched, run, without_values
from torch import Tensor

from cliport.agents import AgentConfig
from cliport.agents.agent import losses_of
from cliport.agents.batch import Batch, image_of
from cliport.agents.catalog import design
from cliport.agents.checkpoint import load_original
from cliport.agents.geometry import GEOMETRIES
from cliport.sim.pixels import pixel_to_position, position_to_pixel
from cliport.sim.poses import pose, quaternion_from_euler, quaternion_zxy, yaw_of

AGENTS = sorted(KEYS.keys() - {"clip"})
WITH_NUMBERS = [
    "transporter",
    "image_goal_transporter",
    "transporter_lang",
    "cliport",
    pytest.param("clip_lingunet_transporter", marks=pytest.mark.slow),
    pytest.param("two_stream_clip_lingunet_transporter", marks=pytest.mark.slow),
]
"""Slow: two more with CLIP, of which `cliport` has all parts."""
CLOSE = 1e-4
"""Of the largest value."""


class TestNames:
    @pytest.mark.parametrize("name", AGENTS)
    def test_every_tensor_of_a_checkpoint_has_its_place(self, name: str) -> None:
        """In shape, too; nothing is left over on either side, and every copy of CLIP is a whole one."""
        found, unmatched = matched(name)
        assert unmatched == set()
        assert {kind: len(copies) for kind, copies in found.copies.items()} == ({design(name).trunk: 3} if design(name).trunk else {})
        if "clip" in found.encoders:
            assert found.encoders["clip"].keys() == KEYS["clip"].keys()

    @pytest.mark.parametrize("name", AGENTS)
    def test_the_networks_are_as_large(self, name: str) -> None:
        """But for the biases before normalisations, which its running means take in."""
        frozen = ("clip_rn50.", "text_encoder.", "running_", "num_batches_tracked", "double_conv.0.bias", "double_conv.3.bias")
        theirs = sum(math.prod(shape) for key, shape in KEYS[name].items() if not any(part in key for part in frozen))
        assert sum(parameter.numel() for parameter in without_values(name).parameters()) == theirs


@pytest.fixture(scope="module", params=WITH_NUMBERS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Each agent is made and run once: its 30 to 580 million weights take most of the time."""
    yield run(made(request.param, tmp_path_factory.mktemp("words")), Numbers(request.param))
    gc.collect()


class TestNumbers:
    def test_maps_are_the_originals(self, ran: Ran) -> None:
        """Logits of pick and place in the mode of its evaluation and of its validation, each stream before fusion, another text."""
        differences = {key: ran.numbers.difference(key, ran.maps[key]) for key in ran.numbers.maps}
        assert ran.numbers.maps
        assert {key: value for key, value in differences.items() if value > CLOSE} == {}

    def test_the_best_pixels_are_the_originals(self, ran: Ran) -> None:
        for mode in ("", "_validation"):
            for kind in ("attn", "trans"):
                if (found := ran.maps.get(f"{kind}{mode}")) is not None:
                    best = np.unravel_index(found.argmax(), found.shape)
                    assert list(map(int, best)) == ran.numbers[f"{kind}_argmax{mode}"].tolist()

    def test_it_acts_as_the_original_does(self, ran: Ran) -> None:
        """Pixels, and poses of position and quaternion."""
        assert list(ran.decision.pick) == ran.numbers["act_pick"][:2].tolist()
        assert list(ran.decision.place) == ran.numbers["act_place"][:2].tolist()
        assert np.allclose(np.concatenate(ran.action.pick), ran.numbers["act_pose0"], atol=1e-7)
        assert np.allclose(np.concatenate(ran.action.place), ran.numbers["act_pose1"], atol=1e-7)

    def test_clip_reads_texts_as_the_original_does(self, ran: Ran) -> None:
        """Tokens of four texts, an empty one among them, and their features."""
        if not ran.tokens:
            return
        expected = np.load(FIXTURES / "clip.npz")
        assert ran.tokens == expected["tokens"].tolist()
        features = expected["text_features"]
        assert np.abs(ran.sentences - features).max() < CLOSE * np.abs(features).max()


SMALL = json.loads((FIXTURES / "small.json").read_text())


@pytest.mark.parametrize("case", SMALL["cases"])
def test_losses_are_divided_by_the_number_of_scores(case: dict[str, Any], ran_transporter: dict[str, Tensor]) -> None:
    """Cross-entropies of the transporter's logits; `theta` is the place's angle in the original's sense, the other way round than ours."""
    batch = Batch(torch.zeros(1, 6, 1, 1), [""], *(torch.tensor([value]) for value in (case["pick"], 0.0, case["place"], -case["theta"])))
    attn, trans = losses_of(ran_transporter["attn"], ran_transporter["trans"], batch, GEOMETRIES["original"])
    pixels, rounding = 320 * 160, 1e-6 * float(ran_transporter["trans"].abs().max())
    assert float(attn) == pytest.approx(case["attn_loss"], rel=1e-4)
    assert float(attn) * pixels == pytest.approx(case["attn_ce"], rel=1e-4)
    assert float(trans) == pytest.approx(case["trans_loss"], rel=1e-4, abs=rounding / (3 * pixels))
    assert float(trans) * 3 * pixels == pytest.approx(case["trans_ce"], rel=1e-4, abs=rounding)


@pytest.fixture(scope="module")
def ran_transporter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    with torch.no_grad():
        agent = load_original(
            Path("last.ckpt"), rule.state_dict(KEYS["transporter"]), AgentConfig("transporter", n_rotations=3), None, print
        )
        batch = Batch(image_of(height_map(rule.VIEW)), [rule.TEXT])
        return {"attn": agent.pick_logits(batch), "trans": agent.place_logits(batch, torch.tensor([rule.PICK]))}


def test_pixels_and_angles_become_the_same_poses() -> None:
    heights = rule.view(rule.VIEW)[1]
    for pixel, expected in SMALL["pix_to_xyz"]:
        assert np.allclose(pixel_to_position(pixel, heights), expected, atol=1e-7)
    for position, (row, column) in SMALL["xyz_to_pix"]:  # a position on the far border is a pixel outside the map there
        assert position_to_pixel(position) == (min(row, 319), min(column, 159))
    for angles, expected in SMALL["euler_to_quaternion"]:
        assert np.allclose(quaternion_zxy(*angles), expected, atol=1e-7)
        assert yaw_of(pose((0, 0, 0), expected)) == pytest.approx(angles[2])
        if angles[:2] == [0, 0]:  # an agent turns about z alone
            assert np.allclose(quaternion_from_euler(*angles), expected, atol=1e-7)
