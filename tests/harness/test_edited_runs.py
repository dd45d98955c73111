"""Clones of a run that were edited by ClearML's own means, and what they ran with.

Slow: each run starts two interpreters that import the SDK.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.echo import ECHO, said
from support.server import LocalServer
from support.tracked import Toy, parameters

from harness.reasons import reason_of

pytestmark = pytest.mark.slow

SEARCH = """
from clearml import Task
from clearml.automation import DiscreteParameterRange, GridSearch, HyperParameterOptimizer

Task.init(project_name="search", task_name="search", task_type="optimizer", auto_connect_arg_parser=False, auto_connect_frameworks=False)
optimizer = HyperParameterOptimizer(
    base_task_id=BASE,
    hyper_parameters=[DiscreteParameterRange("Settings/optim.lr", [0.25, 0.125]), DiscreteParameterRange("Args/one", ["a, b"])],
    objective_metric_title="loss", objective_metric_series="loss", objective_metric_sign="min",
    optimizer_class=GridSearch, execution_queue=QUEUE, max_number_of_concurrent_tasks=2, total_max_jobs=2, pool_period_min=0.01,
)
jobs = [optimizer.optimizer.create_job() for _ in range(2)]
print([job.task_id() for job in jobs if job.launch(QUEUE)])
"""


@pytest.fixture(scope="module")
def echo(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(server, tmp_path_factory.mktemp("edited"), **ECHO)


@pytest.fixture(scope="module")
def ran(echo: Toy) -> str:
    """A run whose task came from clearml-task or the registry, which have it in Args alone."""
    script = {"repository": echo.script.parents[2].as_uri(), "entry_point": "clearml_tasks/toy/clearml_train.py", "working_dir": "."}
    noted = {"properties": {"owner": {"section": "properties", "name": "owner", "value": "somebody"}}}
    hyperparams = args(**{"optim.lr": "1e-3", "one": "x=1"}) | noted
    draft = echo.server.call("tasks.create", name="toy edited", type="testing", script=script, hyperparams=hyperparams)
    code, out, _ = echo.carry_out(draft["id"])
    assert code == 0, out
    return str(draft["id"])


def args(**values: str) -> dict[str, Any]:
    return {"Args": {name: {"section": "Args", "name": name, "value": value} for name, value in values.items()}}


def sdk(echo: Toy, code: str, **names: str) -> Any:
    """What a script of the SDK's prints last."""
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    done = subprocess.run([sys.executable, "-c", head + code], env=echo.environment, cwd=echo.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1].replace("'", '"'))


def test_every_way_to_edit_a_clone_is_what_runs(echo: Toy, ran: str) -> None:
    code = """
from clearml import Task
task = Task.clone(BASE)
task.set_parameters({"Settings/optim.lr": 0.25})
print([task.id])
"""
    (edited,) = sdk(echo, code, BASE=ran)
    code, out, task = echo.carry_out(edited)
    assert code == 0, out
    assert (said(out)["optim"]["lr"], said(out)["one"]) == (0.25, "x=1")
    assert parameters(task, "Settings")["optim.lr"] == "0.25"
    assert parameters(task, "Args") == {"optim.lr": "0.25", "one": "x=1"}  # so that the next clone and a resumed run have it, too
    again = echo.server.call("tasks.clone", task=edited)["id"]
    edit = [{"section": "Args", "name": "optim.lr", "value": "0.5"}, {"section": "Settings", "name": "words", "value": '["a", "b, c"]'}]
    echo.server.call("tasks.edit_hyper_params", task=again, hyperparams=edit)  # as the web page does
    code, out, _ = echo.carry_out(again)
    assert code == 0, out
    assert (said(out)["optim"]["lr"], said(out)["words"], said(out)["one"]) == (0.5, ["a", "b, c"], "x=1")
    echo.server.call("tasks.reset", task=again, force=True)
    edit = [{"section": "Settings", "name": "seed", "value": "7"}]
    echo.server.call("tasks.edit_hyper_params", task=again, hyperparams=edit)
    code, out, _ = echo.carry_out(again)
    assert code == 0, out
    assert (said(out)["seed"], said(out)["optim"]["lr"]) == (7, 0.5)


def test_a_search_for_hyper_parameters_runs_what_it_asks_for(echo: Toy, ran: str) -> None:
    queue = f"search-{uuid.uuid4().hex[:6]}"
    echo.server.call("queues.create", name=queue)
    jobs = sdk(echo, SEARCH, BASE=ran, QUEUE=queue)
    rates = set()
    for job in jobs:
        code, out, task = echo.carry_out(job)
        assert code == 0, out
        assert said(out)["one"] == "a, b"
        assert parameters(task, "Settings")["optim.lr"] == str(said(out)["optim"]["lr"])
        rates.add(said(out)["optim"]["lr"])
    assert rates == {0.25, 0.125}


def test_edits_that_contradict_each_other_fail_the_task_and_name_both(echo: Toy, ran: str) -> None:
    edited = echo.server.call("tasks.clone", task=ran)["id"]
    edit = [{"section": section, "name": "optim.lr", "value": value} for section, value in (("Args", "0.5"), ("Settings", "0.25"))]
    echo.server.call("tasks.edit_hyper_params", task=edited, hyperparams=edit)
    code, out, task = echo.carry_out(edited)
    told = "Args/optim.lr=0.5 and Settings/optim.lr=0.25 differ, and neither equals the previous run's value; make them equal"
    assert (code, task["status"], f"error: {told}" in out) == (2, "failed", True)
    assert reason_of(task) == told
    assert parameters(task, "Settings")["optim.lr"] == "0.25"  # the edit is still there to be mended


def test_the_note_is_on_the_task_and_says_what_the_sections_say(echo: Toy, ran: str) -> None:
    task = echo.task(ran)
    written = json.loads(task["configuration"]["as_run"]["value"])["written"]
    assert written == {"Args": parameters(task, "Args"), "Settings": parameters(task, "Settings"), "Datasets": {}}
    assert written["Settings"]["optim.lr"] == "0.001"
    assert parameters(task, "properties") == {"owner": "somebody"}  # sections that are not the run's stay


def test_by_hand_what_was_typed_is_on_the_task_as_a_value(echo: Toy, tmp_path: Path) -> None:
    code, out, task = echo.run("one='a, b'", "words=[x,'y z']", "note=null", "count=null")
    assert code == 0, out
    assert parameters(task, "Args") == {"one": "a, b", "words": '["x", "y z"]', "note": "", "count": ""}
    assert (said(out)["one"], said(out)["words"], said(out)["note"], said(out)["count"]) == ("a, b", ["x", "y z"], None, None)
