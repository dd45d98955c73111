"""Sherlock's files: found as its loaders find them, boxes as rendered, tests that can be scored."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tabletop.deduction import observations
from tabletop.formats import Sample
from tabletop.formats.leaderboard import Case, overlap, splits

FILES = {"train": "sherlock_train_v1_1", "val": "sherlock_val_with_split_idxs_v1_1"}
Record = dict[str, Any]


@pytest.fixture
def folder(made: Callable[[str], Path]) -> Path:
    return made("sherlock")


@pytest.fixture
def records(folder: Path) -> dict[str, list[Record]]:
    return {part: json.loads((folder / f"sherlock_dataset/{name}.json").read_text()) for part, name in FILES.items()}


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def path_of(url: str) -> str:
    """Where the original's loader looks for a picture, by its URL."""
    parts = url.split("/")
    return "/".join(parts[-3:]) if parts[-3] == "vcr1images" else "vg/images/" + "/".join(parts[-2:])


def instances_of(folder: Path) -> list[Record]:
    return [record for path in sorted(folder.glob("*/*_instances.json")) for record in json.loads(path.read_text())]


def boxes_of(sample: Sample) -> dict[int, dict[str, int]]:
    """Tight boxes of what the renderer saw, in Sherlock's words."""
    boxes = {}
    for thing in sample.scene.things:
        ys, xs = sample.covered(thing).nonzero()
        left, top = int(xs.min()), int(ys.min())
        boxes[thing.number] = {"left": left, "top": top, "width": int(xs.max()) + 1 - left, "height": int(ys.max()) + 1 - top}
    return boxes


def test_records_have_the_originals_fields(records: dict[str, list[Record]]) -> None:
    for part, members in records.items():
        for record in members:
            extra = {"split_idx"} if part == "val" else set()
            assert set(record) == {"inputs", "targets", "instance_id"} | extra
            assert set(record["inputs"]) == {"image", "bboxes", "clue", "confidence", "obs_idx"}
            assert set(record["inputs"]["image"]) == {"url", "width", "height"}
            assert set(record["targets"]) == {"inference"}
            assert re.fullmatch("[0-9a-f]{32}", record["instance_id"])
            assert record["inputs"]["clue"]
            assert record["targets"]["inference"].endswith(".")


def test_ids_are_unique_and_no_picture_is_in_two_parts(folder: Path, records: dict[str, list[Record]]) -> None:
    identities = [record["instance_id"] for members in records.values() for record in members]
    assert len(set(identities)) == len(identities)
    pictures = {part: {record["inputs"]["image"]["url"] for record in members} for part, members in records.items()}
    pictures["test"] = {record["image"]["url"] for record in instances_of(folder) if record["image"]["url"] not in pictures["val"]}
    assert {part: len(urls) for part, urls in pictures.items()} == {"train": 12, "val": 6, "test": 6}
    assert not pictures["train"] & (pictures["val"] | pictures["test"])
    tests = [record["test_id"] for record in instances_of(folder)]
    assert len(set(tests)) == len(tests)


def test_observations_of_a_picture_are_numbered_and_of_different_regions(records: dict[str, list[Record]]) -> None:
    grouped = defaultdict(list)
    for record in [*records["train"], *records["val"]]:
        grouped[record["inputs"]["image"]["url"]].append(record["inputs"])
    for members in grouped.values():
        assert [each["obs_idx"] for each in members] == list(range(len(members)))
        assert len({json.dumps(each["bboxes"]) for each in members}) == len(members)
    assert max(map(len, grouped.values())) == 4


def test_pictures_are_where_the_originals_loader_looks(folder: Path, records: dict[str, list[Record]]) -> None:
    urls = {}
    for record in [*records["train"], *records["val"]]:
        urls[record["inputs"]["image"]["url"]] = record["inputs"]["image"]
    for url, stated in urls.items():
        with Image.open(folder / path_of(url)) as picture:
            assert picture.size == (stated["width"], stated["height"])
        film = "vcr1images" in url
        assert stated["width"] / stated["height"] == pytest.approx(2.35 if film else 4 / 3, abs=0.01)
    assert {path_of(url).rpartition("/")[0] for url in urls} == {"vcr1images/tabletop_0000", "vg/images/VG_100K", "vg/images/VG_100K_2"}


def test_regions_are_tight_boxes_of_what_the_clue_names(records: dict[str, list[Record]], scenes: Callable[[str], list[Sample]]) -> None:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in [*records["train"], *records["val"]]:
        found[path_of(record["inputs"]["image"]["url"])].append(record)
    lines = {sample.index: sample for sample in scenes("sherlock")}
    for sample in lines.values():
        if sample.part == "test":
            continue
        name = f"tabletop_0000/{sample.stem}@0.jpg" if sample.index % 2 == 0 else f"/{sample.index + 1}.jpg"
        (members,) = (group for path, group in found.items() if path.endswith(name))
        boxes, told = boxes_of(sample), observations(sample.scene)
        for record in members:
            numbers = [number for box in record["inputs"]["bboxes"] for number, own in boxes.items() if own == box]
            things = {thing.number: thing.kind for thing in sample.scene.things}
            named = {f"{things[number].colour} {things[number].shape}" for number in numbers}
            assert len(numbers) == len(record["inputs"]["bboxes"])
            assert all(name in record["inputs"]["clue"] for name in named)
            known = {(each.clue, each.inference) for each in told if set(each.things) == set(numbers)}
            assert (record["inputs"]["clue"], record["targets"]["inference"]) in known


class TestLeaderboard:
    @pytest.mark.parametrize("part", ["val", "test"])
    def test_ids_are_the_instances_and_only_val_has_answers(self, folder: Path, part: str) -> None:
        folders = [path for path in folder.glob(f"{part}_*") if path.is_dir()]
        suffix = "_public" if part == "test" else ""
        assert {path.name for path in folders} == {f"{part}_{task}{suffix}" for task in ("retrieval", "localization", "comparison")}
        for instances in folder.glob(f"{part}_*/*_instances.json"):
            stem = str(instances).removesuffix("_instances.json")
            members = json.loads(instances.read_text())
            assert json.loads(Path(f"{stem}_instance_ids.json").read_text()) == sorted(each["test_id"] for each in members)
            assert all(set(each) == {"image", "region", "inference", "test_id", "extra_info"} for each in members)
            assert Path(f"{stem}_answer_key.json").exists() == (part == "val")

    def test_retrieval_pairs_each_region_of_a_split_with_each_inference(self, folder: Path, records: dict[str, list[Record]]) -> None:
        by_id = {record["instance_id"]: record for record in records["val"]}
        for number in range(1 + max(record["split_idx"] for record in records["val"])):
            key = read(folder, f"val_retrieval/val_retrieval_{number}_answer_key.json")
            members = {record["instance_id"] for record in records["val"] if record["split_idx"] == number}
            assert {tuple(pair) for pair in key.values()} == {(one, other) for one in members for other in members}
            for each in read(folder, f"val_retrieval/val_retrieval_{number}_instances.json"):
                seen, told = (by_id[identity] for identity in key[each["test_id"]])
                assert each["region"] == seen["inputs"]["bboxes"]
                assert each["inference"] == told["targets"]["inference"]
            assert len({by_id[identity]["targets"]["inference"] for identity in members}) == len(members)

    def test_localization_has_one_right_region_for_each_inference(self, folder: Path, records: dict[str, list[Record]]) -> None:
        key = read(folder, "val_localization/val_localization_answer_key.json")
        regions = {record["instance_id"]: record["inputs"]["bboxes"] for record in records["val"]}
        truths, pictures = defaultdict(list), defaultdict(list)
        for each in read(folder, "val_localization/val_localization_instances.json"):
            answer = key[each["test_id"]]
            assert answer["image"] == each["image"]["url"]
            if answer["type"] == "gt":
                assert answer["correct"] == (each["region"] == regions[answer["inst_id"]])
                truths[answer["inst_id"]].append(answer["correct"])
                pictures[answer["image"]].append(answer["bbox_idx"])
        assert set(truths) == set(regions)
        assert all(sum(right) == 1 for right in truths.values())
        assert all(math.isqrt(len(seen)) ** 2 == len(seen) for seen in pictures.values())

    def test_proposed_boxes_are_in_the_picture_and_often_near_the_truth(self, folder: Path) -> None:
        key = read(folder, "val_localization/val_localization_answer_key.json")
        proposed = read(folder, "sherlock_dataset/image_url2auto_bboxes.json")
        best: dict[str, float] = defaultdict(float)
        for each in read(folder, "val_localization/val_localization_instances.json"):
            answer, width, height = key[each["test_id"]], each["image"]["width"], each["image"]["height"]
            if answer["type"] == "auto":
                (box,) = each["region"]
                assert box == proposed[each["image"]["url"]][answer["bbox_idx"]]
                assert min(box["left"], box["top"], box["width"] - 1, box["height"] - 1) >= 0
                assert box["left"] + box["width"] <= width
                assert box["top"] + box["height"] <= height
                best[answer["inst_id"]] = max(best[answer["inst_id"]], answer["IoU"])
        assert sum(share > 0.5 for share in best.values()) / len(best) > 0.5
        assert max(best.values()) < 1

    def test_comparison_judges_ten_inferences_of_a_region(self, folder: Path, records: dict[str, list[Record]]) -> None:
        key = read(folder, "val_comparison/val_comparison_answer_key.json")
        texts = {record["instance_id"]: record["targets"]["inference"] for record in records["val"]}
        assert [each["Input_iid"] for each in key["annotations"]] == list(texts)
        for each in key["annotations"]:
            judged = {candidate["source_iid"]: candidate["annot1"] for candidate in each["candidates"]}
            assert len(judged) == 10
            assert judged[each["Input_iid"]] == 3
            assert 1 in judged.values()
        for each in read(folder, "val_comparison/val_comparison_instances.json"):
            assert texts[key["test_id_map"][each["test_id"]]["candidate"]] == each["inference"]


def case(identity: str, inference: str) -> Case:
    return Case({"url": identity}, [], "", inference, 0, identity, [])


def test_no_inference_occurs_twice_in_a_split_and_splits_are_bounded() -> None:
    cases = [case(str(number), f"{number % 30}") for number in range(120)]
    groups = splits(cases)
    assert [len(group) for group in groups] == [30, 30, 30, 30]
    assert all(len({each.inference for each in group}) == len(group) for group in groups)
    assert sorted(each.identity for group in groups for each in group) == sorted(each.identity for each in cases)
    assert [len(group) for group in splits([case(str(number), str(number)) for number in range(101)])] == [34, 34, 33]
    assert splits([]) == []


def test_no_split_is_much_smaller_than_the_others(folder: Path, records: dict[str, list[Record]]) -> None:
    """In a tiny one every guess would often be right."""
    sizes = Counter(record["split_idx"] for record in records["val"])
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_overlap_is_of_the_areas_that_boxes_cover() -> None:
    left, right = ({"left": start, "top": 0, "width": 2, "height": 2} for start in (0, 2))
    whole = {"left": 0, "top": 0, "width": 4, "height": 2}
    assert overlap([left], [left]) == 1
    assert overlap([left], [right]) == 0
    assert overlap([left], [whole]) == 0.5
    assert overlap([left, right], [whole]) == 1
