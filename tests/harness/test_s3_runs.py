"""Runs whose results go to a real S3 store, and which are taken up again from there.

Slow: each run starts two interpreters that import the SDK.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.events import wait_for
from support.s3.line import Line
from support.s3.store import Store
from support.server import LocalServer
from support.tracked import Toy, parameters

from harness.reasons import reason_of

pytestmark = pytest.mark.slow
STEPS = 12
CUT = 1_000_000
"""Bytes after which a connection breaks off: more than everything but the published data has."""


@pytest.fixture(scope="module")
def toy(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The toy workload, which also shows a picture, and whose data are not small."""
    toy = Toy(server, tmp_path_factory.mktemp("s3-runs"))
    script = toy.script.read_text()
    for before, added in {
        "        job.report.text(f": 'import numpy; job.report.image("square", "black", numpy.zeros((8, 8, 3), "uint8"), s.steps)',
        "    job.publish(": f'import os; (folder / "noise").write_bytes(os.urandom({2 * CUT}))',
    }.items():
        assert before in script
        indent = " " * (len(before) - len(before.lstrip()))
        script = script.replace(before, f"{indent}{added}\n{before}")
    toy.script.write_text(script)
    toy.environment["AWS_EC2_METADATA_DISABLED"] = "true"
    return toy


def model_uris(toy: Toy, task: dict[str, Any]) -> list[str]:
    return [toy.server.call("models.get_by_id", model=entry["model"])["model"]["uri"] for entry in task["models"]["output"]]


def addresses(toy: Toy, task: dict[str, Any]) -> list[str]:
    """Where the models, artifacts and debug samples of a task are."""
    events = toy.server.call("events.get_task_events", task=task["id"], event_type="training_debug_image")["events"]
    artifacts = [artifact["uri"] for artifact in task["execution"].get("artifacts", [])]
    return [*model_uris(toy, task), *artifacts, *(event["url"] for event in events)]


def alone(toy: Toy, *tokens: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A run here and now, without a server."""
    environment = {name: value for name, value in toy.environment.items() if not name.startswith("CLEARML_")}
    return subprocess.run(toy.command(*tokens), env=environment | more, cwd=toy.folder, capture_output=True, text=True)


def test_a_killed_run_goes_on_from_the_store_with_the_same_result(toy: Toy, store: Store) -> None:
    uri = f"s3://{store.bucket()}/team/results"
    first = toy.remote(uri, dataset_path="data", steps="1000", pause="0.5")
    with toy.running(CLEARML_TASK_ID=first, **store.environment()):
        wait_for(lambda: len(toy.task(first).get("models", {}).get("output", [])) == 2)
    toy.server.call("tasks.failed", task=first)

    second = toy.remote(uri, dataset_path="data", steps=str(STEPS), resume=first, output_dir="elsewhere")
    code, out, task = toy.run(CLEARML_TASK_ID=second, **store.environment())
    assert code == 0, out
    assert "step 1\n" not in out
    found = addresses(toy, task)
    assert len(found) == 4  # two models, an artifact, a debug sample
    assert all(address.startswith(f"{uri}/") for address in found)
    assert store.owner[1] not in f"{task} {out}"

    assert alone(toy, "dataset_path=data", f"steps={STEPS}", "output_dir=unbroken").returncode == 0
    (unbroken,) = (toy.folder / "unbroken").rglob("result.json")
    (result,) = [address for address in found if address.endswith("result.json")]
    assert json.loads(store.get(result)) == json.loads(unbroken.read_text())


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    """A line to the store that can be cut."""
    line = Line(store.host)
    yield line
    line.close()


def test_clearml_conf_alone_can_set_the_store_for_results_and_its_keys(toy: Toy, store: Store, line: Line, tmp_path: Path) -> None:
    """And published data come from there, over a line that breaks off now and then; if it always does, that is told."""
    key, secret = store.owner
    uri = f"s3://{line.host}/{store.bucket()}/results"
    entry = f'{{host: "{line.host}", key: "{key}", secret: "{secret}", secure: false}}'
    sdk = f'sdk {{ aws {{ s3 {{ credentials: [{entry}] }} }}, development {{ default_output_uri: "{uri}" }} }}\n'
    configuration = {"CLEARML_CONFIG_FILE": str(tmp_path / "clearml.conf")}
    (tmp_path / "clearml.conf").write_text(toy.server.conf.read_text() + sdk)
    code, out, make = toy.run("command=make", "n=4", **configuration)
    assert (code, make["output"]["destination"]) == (0, uri), out
    dataset = parameters(make, "properties")["dataset_id"]

    line.cuts, line.after = 1000, CUT
    code, out, train = toy.run(f"dataset_id={dataset}", "steps=2", **configuration)
    assert (code, train["status_reason"]) == (2, f"dataset_id={dataset}: its files could not be fetched from {uri}"), out

    line.cuts = 2
    code, out, train = toy.run(f"dataset_id={dataset}", "steps=2", **configuration)
    assert (code, line.cuts) == (0, 0), out
    assert "total 12 " in out
    found = addresses(toy, toy.task(dataset)) + addresses(toy, train)
    assert len(found) > 4
    assert all(address.startswith(f"{uri}/") for address in found)


def test_data_that_cannot_be_stored_are_not_published(toy: Toy, store: Store, line: Line) -> None:
    line.cuts, line.after = 1000, CUT
    uri = f"s3://{store.bucket()}"
    code, out, task = toy.run("command=make", **store.environment(line.url), CLEARML_DEFAULT_OUTPUT_URI=uri)
    told = f"dataset toy-numbers could not be published: its archive data was never stored at {uri}"
    assert (code, task["status_reason"]) == (1, f"rank 0: DataError: {told}"), out
    (newest, *_) = toy.server.call("tasks.get_all", name="^toy-numbers$", order_by=["-created"], search_hidden=True)["tasks"]
    assert (newest["status"], newest["status_reason"]) == ("failed", told)


def test_a_store_that_cannot_be_written_to_fails_the_task_before_any_work(toy: Toy, store: Store) -> None:
    uri = "s3://results/x"
    identity = toy.remote(uri, dataset_id="task:" + uuid.uuid4().hex)  # the data, which are not there either, are not yet looked for
    code, out, task = toy.run(CLEARML_TASK_ID=identity, **store.environment(user=(store.owner[0], "wrong")))
    message = f"output_uri={uri}: {store.url} refuses the keys (SignatureDoesNotMatch); set valid ones in sdk.aws.s3"
    assert (code, task["status"]) == (2, "failed")
    assert reason_of(task).startswith(message)
    assert out.count(f"error: {message}") == 1


def test_by_hand_it_stands_in_the_log_as_well(toy: Toy, store: Store) -> None:
    code, _, task = toy.run("dataset_path=data", **store.environment(), CLEARML_DEFAULT_OUTPUT_URI="s3://nowhere/x")
    message = f"output_uri=s3://nowhere/x: there is no bucket 'nowhere' at {store.url}; create it, or name an existing one"
    assert (code, task["status"], task["status_reason"]) == (2, "failed", message)
    assert toy.log(task["id"]).count(message) == 1


def test_a_run_goes_on_while_its_store_is_away(toy: Toy, store: Store, line: Line) -> None:
    uri = f"s3://{store.bucket()}/results"
    arguments = ("dataset_path=data", "steps=40", "pause=0.1")
    with toy.running(*arguments, **store.environment(line.url), CLEARML_DEFAULT_OUTPUT_URI=uri) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("step 3" in text for text in lines)
        line.cuts = 1000
        assert any("could not be uploaded: s3://" in text for text in lines)
        line.cuts = 0
        assert "total 120 " in "".join(lines)
        assert process.wait(60) == 0
    task = toy.task(toy.newest())
    stored = sorted(int(store.get(model).split()[0]) for model in model_uris(toy, task))
    assert stored == [39, 40]


def test_data_and_checkpoint_are_taken_from_the_store_without_a_server(toy: Toy, store: Store) -> None:
    bucket = store.bucket(**{"numbers/numbers.txt": b"1\n2\n", "models/checkpoint-0.ckpt": b"3 9"})
    data, models = f"dataset_id=s3://{store.host}/{bucket}/numbers", f"s3://{bucket}/models"
    done = alone(toy, data, f"resume={models}/checkpoint-0.ckpt", "steps=4", **store.environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert "total 12 " in done.stdout
