"""The real SDK against the server: each script runs in a process of its own, as the SDK keeps one session per process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from support.server import LocalServer

SCRIPTS = Path(__file__).parent / "scripts"
Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def run(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a script once and returns what it saw."""
    ran: dict[str, dict[str, Any]] = {}

    def once(name: str) -> dict[str, Any]:
        if name not in ran:
            folder = tmp_path_factory.mktemp(name)
            command = [sys.executable, str(SCRIPTS / f"{name}.py"), str(folder)]
            done = subprocess.run(command, env=server.env, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "ERROR" not in done.stdout + done.stderr
            ran[name] = json.loads((folder / "found.json").read_text())
        return ran[name]

    return once


def test_a_runs_settings_come_back(run: Run) -> None:
    seen = run("report")
    assert (seen["status"], seen["tags"], seen["comment"]) == ("completed", ["first"], "a comment")
    assert seen["parameters"] == {
        **{"Settings/lr": "0.1", "Settings/optim.name": "adam", "Settings/nested/deep": "1"},
        "properties/dataset_id": "abc",
    }
    assert seen["configuration"] == {"layers": [1, 2]}
    assert seen["properties"] == {"dataset_id": "abc"}


def test_a_runs_scalars_come_back(run: Run) -> None:
    seen = run("report")
    curve = seen["scalars"]["loss"]["val"]
    assert curve["x"] == list(range(50))
    assert curve["y"] == pytest.approx([2 / (step + 1) for step in range(50)])
    assert seen["all_scalars"]["loss"]["train"]["x"] == list(range(50))
    assert seen["all_scalars"]["long"]["curve"] == {"name": "curve", "x": list(range(1100)), "y": list(range(1100))}
    assert seen["last"]["loss"]["train"] == {"last": pytest.approx(0.02), "min": pytest.approx(0.02), "max": 1.0}
    assert (seen["iteration"], seen["single"]) == (1099, {"score": 0.875})


def test_a_runs_plots_images_and_text_come_back(run: Run, server: LocalServer) -> None:
    seen = run("report")
    assert seen["plots"] == ["curves/matplotlib", "curves/plotly", "table/rows", "weights/layer"]
    assert "a line of text with ünïcode" in seen["console"]
    (image,) = seen["images"]
    content = requests.get(image["url"], auth=server.keys, timeout=10).content
    assert content.startswith(b"\xff\xd8")  # a JPEG


def test_a_runs_artifacts_and_model_come_back(run: Run) -> None:
    seen = run("report")
    assert seen["artifact"] == {"answer": 42}
    assert bytes.fromhex(seen["file"]) == b"\0\1" * 1000
    assert seen["weights"] == "weights"
    assert (seen["model"]["name"], seen["model"]["tags"]) == ("the weights", ["best"])
    assert seen["model"]["metadata"]["accuracy"]["value"] == "0.9"


def test_the_link_that_the_sdk_prints_leads_to_the_task(run: Run, server: LocalServer) -> None:
    seen = run("report")
    assert seen["link"] == f"{server.url}/projects/{seen['project']}/tasks/{seen['task']}/output/log"
    answer = requests.get(seen["link"], allow_redirects=False, timeout=10)
    assert answer.headers["Location"].startswith(f"/task/{seen['task']}")


def test_datasets_by_id_and_name(run: Run) -> None:
    seen = run("datasets")
    assert seen["parent_contents"] == {"a.txt": "a", "b.txt": "b"}
    assert seen["child_contents"] == {"a.txt": "a", "b.txt": "changed", "c.txt": "c"}
    assert (seen["newest"], seen["by_version"], seen["by_tag"]) == (seen["child"], seen["parent"], seen["child"])
    assert seen["parents"] == [seen["parent"]]


def test_datasets_are_listed(run: Run) -> None:
    seen = run("datasets")
    project = "two versions"  # its own: the server is shared
    assert sorted(seen["listed"]) == sorted([[seen["parent"], "1.0.0", project], [seen["child"], "1.0.1", project]])
    assert set(seen["all"]) >= {seen["parent"], seen["child"]}
    assert seen["left"] == [seen["parent"]]


def test_drafts_are_cloned_changed_and_queued(run: Run) -> None:
    seen = run("control")
    assert seen["clone_parameters"] == {"Args/lr": "1e-4", "Args/train.steps": "5"}
    assert (seen["clone_status"], seen["entries"]) == ("queued", [seen["clone"]])
    assert [seen[f"{step}_status"] for step in ("dequeued", "stopped", "reset")] == ["created", "stopped", "created"]
    assert seen["deleted"]
    assert seen["left"] == [seen["original"]]


def test_tasks_are_queried(run: Run) -> None:
    seen = run("control")
    assert seen["by_tags"] == {"any": ["clone", "original"], "all": ["clone"], "not": ["original"]}
    assert seen["by_name"] == seen["by_parent"] == seen["by_status"] == [seen["clone"]]
    assert [(task["id"], task["status"]) for task in seen["extra"]] == [(seen["clone"], "queued"), (seen["original"], "created")]
    assert "control" in seen["projects"]


def test_clearmls_trigger_scheduler_enqueues_what_is_set_off(run: Run) -> None:
    """A task that ends, a dataset that is finalized and a model with a tag each set off a clone of the job."""
    seen = run("trigger")
    assert seen["queued"] == dict.fromkeys(seen["sources"].values(), seen["job"])
