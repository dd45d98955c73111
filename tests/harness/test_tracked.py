"""A run whose task is on a server: by hand with the SDK, and for an agent's task.

Slow: each run starts two interpreters that import the SDK.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.server import LocalServer
from support.tracked import Toy, parameters

from harness.reasons import reason_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(server, tmp_path_factory.mktemp("tracked"))


def test_everything_a_run_needs_is_in_its_task(toy: Toy) -> None:
    code, out, task = toy.run("dataset_path=data", "steps=2", "seed=5")
    assert code == 0, out
    assert (task["status"], task["name"], task["type"]) == ("completed", "toy train", "training")
    assert parameters(task, "Args") == {"dataset_path": "data", "steps": "2", "seed": "5"}
    assert parameters(task, "Settings")["steps"] == "2"
    assert parameters(task, "Settings")["pause"] == "0.0"
    assert parameters(task, "Datasets") == {"dataset_id": str(toy.folder / "data")}
    assert (task["script"]["entry_point"], len(task["script"]["version_num"])) == ("clearml_tasks/toy/clearml_train.py", 40)
    metrics = [entry for variants in task["last_metrics"].values() for entry in variants.values()]
    assert [entry["value"] for entry in metrics if entry["metric"] == "sum"] == [6.0]
    assert "result" in {artifact["key"] for artifact in task["execution"]["artifacts"]}
    assert {model["name"] for model in task["models"]["output"]} == {"checkpoint-0", "checkpoint-1"}
    log = toy.log(task["id"])
    assert log.count("total 6 seed 5") == 1  # once, although parent and rank are processes of their own
    assert toy.server.keys[1] not in f"{task} {log} {out}"  # the secret key


def test_wrong_arguments_by_hand_make_no_task(toy: Toy) -> None:
    before = toy.server.call("tasks.get_all", only_fields=["id"], page=0, page_size=500)["tasks"]
    process = toy.start("dataset_path=data", "stepz=2")
    out, _ = process.communicate(timeout=100)
    assert (process.returncode, out) == (2, "error: stepz: there is no such key (did you mean steps?)\n")
    assert toy.server.call("tasks.get_all", only_fields=["id"], page=0, page_size=500)["tasks"] == before


def test_a_wrong_key_fails_an_agent_s_task_with_the_same_words(toy: Toy) -> None:
    identity = toy.remote(dataset_path="data", stepz="2", pause="-1")
    code, out, task = toy.run(CLEARML_TASK_ID=identity)
    told = "stepz: there is no such key (did you mean steps?)\npause=-1.0: must be float >= 0"
    assert (code, task["status"], reason_of(task)) == (2, "failed", told)
    assert task["status_reason"] == "worker execution exit code 2"  # its agent's words, which came last
    assert f"error: {told}" in out


def test_data_made_by_one_task_feeds_the_next_and_its_checkpoint_a_third(toy: Toy) -> None:
    code, out, make = toy.run(CLEARML_TASK_ID=toy.remote(command="make", n="4"))
    assert code == 0, out
    dataset = parameters(make, "properties")["dataset_id"]
    code, out, first = toy.run(CLEARML_TASK_ID=toy.remote(command="train", dataset_id=f"task:{make['id']}", steps="3"))
    assert code == 0, out
    assert parameters(first, "Datasets") == {"dataset_id": dataset}
    assert "total 18" in out
    model = toy.server.call("models.get_by_id", model=first["models"]["output"][0]["model"])["model"]
    assert model["uri"].startswith(toy.server.files_url)
    code, out, second = toy.run(CLEARML_TASK_ID=toy.remote(dataset_id="toy-numbers", steps="5", resume=first["id"]))
    assert code == 0, out
    assert "step 3\n" not in out
    assert "total 30" in out  # as an unbroken run of five steps
    assert parameters(second, "Datasets") == {"dataset_id": dataset}


def test_a_run_goes_on_from_the_checkpoint_that_is_left(toy: Toy) -> None:
    """ClearML's `Model.remove` takes the model and its file, and leaves the task's entry of it."""
    code, out, first = toy.run("dataset_path=data", "steps=3")
    assert code == 0, out
    newest, other = (item["model"] for item in sorted(first["models"]["output"], key=lambda item: item["name"]))  # steps 3 and 2
    remove = f"from clearml import Model; assert Model.remove({newest!r}, force=True, raise_on_errors=True)"
    subprocess.run([sys.executable, "-c", remove], env=toy.environment, check=True, capture_output=True)
    code, out, _ = toy.run("dataset_path=data", "steps=5", f"resume={first['id']}")
    assert (code, "step 3\n" in out, "total 15" in out) == (0, True, True), out
    toy.server.call("models.delete", model=other, force=True)
    code, out, _ = toy.run("dataset_path=data", "steps=5", f"resume={first['id']}")
    assert code == 2
    assert all(f"; model {model} was removed" in out for model in (newest, other)), out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"dataset_id": "f" * 32}, "there is no finished dataset with this ID"),
        ({"dataset_id": "no-such-name"}, "there is no finished dataset with this ID or name"),
        ({"dataset_id": "task:" + "f" * 32}, "there is no such task on the server"),
        ({"dataset_path": "data", "resume": "f" * 32}, "there is no such file, folder or task on the server"),
    ],
)
def test_missing_inputs_fail_the_task_with_their_name(toy: Toy, arguments: dict[str, str], told: str) -> None:
    code, _, task = toy.run(CLEARML_TASK_ID=toy.remote(**arguments))
    assert (code, task["status"]) == (2, "failed")
    assert told in reason_of(task)


def test_an_exception_of_a_rank_is_the_task_s_reason(toy: Toy) -> None:
    code, _, task = toy.run("dataset_path=data", "fail_at=2")
    told = "rank 0: ValueError: step 2 went wrong"
    assert (code, task["status"], task["status_reason"], task["status_message"], reason_of(task)) == (1, "failed", told, told, told)
    assert len(task["models"]["output"]) >= 1  # the checkpoint of step 1 is kept


def test_a_stopped_run_is_marked_and_keeps_its_checkpoint(toy: Toy) -> None:
    process = toy.start("dataset_path=data", "steps=1000", "pause=0.2")
    assert process.stdout is not None
    assert any("step 3" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    task = toy.task(toy.newest())
    assert (process.returncode, task["status"]) == (143, "stopped")
    assert task["models"]["output"]


def test_a_run_that_waits_for_its_data_can_be_stopped(toy: Toy) -> None:
    awaited = toy.remote(command="make")  # in progress for ever: nobody runs it
    process = toy.start(f"dataset_id=task:{awaited}")
    assert process.stdout is not None
    assert any("waiting for task toy remote" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    told = "stopped by SIGTERM before the first step"
    assert (process.returncode, out.splitlines()[-1]) == (143, f"error: {told}")
    task = toy.task(toy.newest())
    assert (task["name"], task["status"], task["status_message"], reason_of(task)) == ("toy train", "stopped", told, told)


def test_a_server_that_does_not_answer_is_told_in_one_line(tmp_path: Path, toy: Toy) -> None:
    conf = tmp_path / "clearml.conf"
    conf.write_text(toy.server.conf.read_text().replace(toy.server.url, "http://127.0.0.1:9"))
    process = toy.start("dataset_path=data", CLEARML_CONFIG_FILE=str(conf))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == "error: the ClearML server at http://127.0.0.1:9 does not answer\n"
