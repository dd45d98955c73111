"""`registry dataset check` and `registry dataset show`, on folders and on datasets of a server."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from PIL import Image
from support.annotated import Coco
from support.command_line import Registry

from registry.backends import Server

pytestmark = pytest.mark.filterwarnings("ignore")  # of the SDK's


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path / "animals")


def test_a_sound_folder(coco: Coco, registry: Registry) -> None:
    done = registry("dataset", "check", str(coco.save()))
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == f"{coco.root}: coco, for detection, instance segmentation"
    assert done.lines[1] == "3 classes: cat, dog, bird"
    assert done.lines[-1].startswith("no errors, no warnings; checked in ")


def test_a_broken_folder_sets_the_exit_code(coco: Coco, registry: Registry) -> None:
    coco.files["val"]["categories"].reverse()
    folder = str(coco.save())
    done = registry("dataset", "check", folder)
    assert done.code == 1
    assert "error: splits that list the classes in another order: 1 (place 1 is 'cat' in train" in done.out
    assert "[class-order-differs]" in done.out
    assert registry("dataset", "check", folder, "--allow", "class-order-differs").code == 0
    assert registry("dataset", "check", folder, "--allow", "class-order-differs", "--classes", "4").code == 1


def test_for_programs(coco: Coco, registry: Registry) -> None:
    coco.files["val"]["annotations"][0]["bbox"] = [99, 9, 5, 5]
    done = registry("dataset", "check", str(coco.save()), "--json")
    stated = json.loads(done.out)
    assert done.code == 1
    assert (stated["form"], stated["classes"], stated["splits"]["train"]["images"]) == ("coco", ["cat", "dog", "bird"], 4)
    (finding,) = stated["findings"]
    assert (finding["code"], finding["severity"], finding["split"], finding["count"]) == ("box-outside", "error", "val", 1)
    assert finding["examples"] == ["000000000005.jpg: [99, 9, 5, 5]"]


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_folder_that_is_not_there(command: str, registry: Registry) -> None:
    done = registry("dataset", command, "./nowhere")
    assert (done.code, done.err) == (2, "error: ./nowhere: there is no such folder\n")


def test_a_page_of_a_folder(coco: Coco, registry: Registry, tmp_path: Path) -> None:
    output = tmp_path / "drawn.png"
    done = registry("dataset", "show", str(coco.save()), "--split", "val", "--output", str(output))
    assert (done.code, done.lines) == (0, [str(output)])
    with Image.open(output) as page:
        assert page.width > 700, "two images of val"
    wrong = registry("dataset", "show", str(coco.root), "--split", "test")
    assert (wrong.code, wrong.err) == (2, "error: --split test: there is no such split; available: train, val\n")


def test_a_dataset_of_the_server_is_checked_and_its_task_shows_samples(
    embedded: Server, coco: Coco, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    name = f"animals-{uuid.uuid4().hex[:6]}"
    (identifier,) = registry("dataset", "create", name, "--folder", str(coco.save())).lines[-1:]
    done = registry("dataset", "check", name)
    assert done.code == 0, done.err
    assert done.lines[1] == "3 classes: cat, dog, bird"
    shown = registry("dataset", "show", identifier, "--count", "3", "--output", str(tmp_path / "page.png"))
    assert (shown.code, shown.lines) == (0, [str(tmp_path / "page.png")]), shown.err
    assert f"3 debug samples are shown by the task {identifier}" in shown.err
    found = embedded.call("events.debug_images", metrics=[{"task": identifier}], iters=1)["metrics"]
    samples = {(event["metric"], event["variant"]) for metric in found for each in metric["iterations"] for event in each["events"]}
    assert samples >= {("train", "000000000001.jpg"), ("train", "000000000004.jpg"), ("val", "000000000005.jpg")}
    assert embedded.task(identifier)["status"] == "completed"
