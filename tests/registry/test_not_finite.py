"""A run that diverged and a healthy one: their values pass through the real SDK to the server, and the command line compares them.

Its first steps are better than the healthy run's: were they, or a 0 in place of a NaN, to count, the broken run would be the best.

Slow: each of the two runs starts two interpreters that import the SDK.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Registry
from support.events import scalar
from support.server import LocalServer
from support.toy import make_repository
from support.tracked import Toy, parameters

from registry.backends import Server
from registry.tasks.compare import results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning"),  # of the SDK's
]

WORKLOAD = """\
summary: Reports what it is told
queue: gpu01
commands: {train: {launcher: inline, type: training, config: toy_settings:Train}}
metrics: {main: grasp/effort, lower: [grasp/effort], higher: [loss/scale]}
"""
SETTINGS = """\
from dataclasses import dataclass

from harness.params import setting


@dataclass
class Train:
    healthy: bool = setting(True, "whether all values are finite")
"""
SCRIPT = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness
import plotly.graph_objects as go

CURVES = {
    "grasp/effort": ([0.9, 0.1, "nan", "nan"], [0.9, 0.5, 0.3, 0.4]),
    "loss/val": (["nan", "inf", "-inf", "nan"], [4, 3, 2, 1]),
    "val/mae": (["nan", 3, 2, 1], [4, 3, 2, 1]),
    "val/top1": ([1, "inf", 3, 4], [1, 2, 3, 4]),
    "loss/scale": ([1, 2, 3, "-inf"], [1, 2, 3, 4]),
}


def train(job):
    for name, curves in CURVES.items():
        for step, value in enumerate(curves[job.settings.healthy]):
            job.report.scalar(*name.split("/"), float(value), step)
    nan = float("nan")
    job.report.plot("plots", "p", go.Figure(go.Heatmap(z=[[1, nan], [float("inf"), 4]])))
    job.report.artifact("result", {"recall": nan, "loss": [1.0, nan]})


if __name__ == "__main__":
    harness.main(__file__, train=train)
"""


class Runs:
    """The tasks of the two runs after they have ended."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.toy = Toy(server, folder, lambda root: make_repository(root, WORKLOAD, SETTINGS, SCRIPT))
        inherited, continued = (self.toy.remote(healthy="true") for _ in range(2))
        for task, stated in (
            (inherited, {"grasp/effort": "since step 9"}),
            (continued, {"val/mae": "at step 0", "loss/val": "since step -1"}),
        ):
            noted = {"section": "properties", "name": "not_finite", "value": json.dumps(stated)}
            server.call("tasks.edit_hyper_params", task=task, hyperparams=[noted])
        server.report(scalar(continued, -2, 5.0, metric="loss", variant="val"))  # it has run before: it is no clone
        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(self.toy.run, CLEARML_TASK_ID=task) for task in (inherited, continued)]
            self.broken = pool.submit(self.toy.run, "healthy=false").result()[2]
        self.healthy, self.continued = (future.result()[2] for future in running)


@pytest.fixture(scope="module")
def runs(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(server, tmp_path_factory.mktemp("diverged"))


@pytest.fixture
def pair(runs: Runs, embedded: Server) -> list[dict[str, Any]]:
    """The tasks as the registry reads them: the diverged one, the healthy one."""
    return [embedded.task(runs.broken["id"]), embedded.task(runs.healthy["id"])]


def cells(lines: list[str]) -> dict[str, list[str]]:
    return {name: rest for name, *rest in (re.split(r"\s{2,}", line.strip()) for line in lines)}


def test_only_numbers_reach_the_server(runs: Runs, server: LocalServer) -> None:
    curves = server.call("events.scalar_metrics_iter_histogram", task=runs.broken["id"])
    points = {f"{title}/{name}": (line["x"], line["y"]) for title, lines in curves.items() for name, line in lines.items()}
    assert {name: found for name, found in points.items() if not name.startswith(":")} == {
        "grasp/effort": ([0, 1], [0.9, 0.1]),
        "val/mae": ([1, 2, 3], [3, 2, 1]),
        "val/top1": ([0, 2, 3], [1, 3, 4]),
        "loss/scale": ([0, 1, 2], [1, 2, 3]),
    }


def test_the_log_reports_each_series_once(runs: Runs) -> None:
    told = re.findall(r"WARNING: (\S+) is not finite since step (\d)", runs.toy.log(runs.broken["id"]))
    assert told == [("grasp/effort", "2"), ("loss/val", "0"), ("val/mae", "0"), ("val/top1", "1"), ("loss/scale", "3")]
    assert "finite" not in runs.toy.log(runs.healthy["id"])


def test_the_task_s_properties_name_every_such_series(runs: Runs) -> None:
    assert json.loads(parameters(runs.broken, "properties")["not_finite"]) == {
        "grasp/effort": "since step 2",
        "loss/val": "since step 0",
        "val/mae": "at step 0",
        "val/top1": "at step 1",
        "loss/scale": "since step 3",
    }


def test_a_cloned_task_does_not_inherit_the_properties(runs: Runs) -> None:
    assert set(parameters(runs.healthy, "properties")) == {"metrics"}
    declared = {"main": ["grasp/effort"], "lower": ["grasp/effort"], "higher": ["loss/scale"]}
    assert json.loads(parameters(runs.healthy, "properties")["metrics"]) == declared


def test_a_resumed_run_keeps_earlier_notes_about_steps_that_it_does_not_repeat(runs: Runs) -> None:
    assert json.loads(parameters(runs.continued, "properties")["not_finite"]) == {"loss/val": "at step -1"}


def test_compare_shows_the_main_metric_first_and_the_healthy_run_as_the_best(
    clone: Any, pair: list[dict[str, Any]], registry: Registry
) -> None:
    outcome = registry("compare", *(task["id"] for task in pair))
    assert outcome.code == 0, outcome.err
    rows = cells(outcome.lines)
    assert [name for name in rows if "/" in name] == ["grasp/effort", "loss/scale", "loss/val", "val/mae", "val/top1"]
    assert rows["grasp/effort"] == ["not finite since step 2", "0.4 (min 0.3) *"]
    assert rows["loss/scale"] == ["not finite since step 3", "4 (max 4)"]
    assert rows["loss/val"] == ["not finite since step 0", "1 (min 1)"]
    assert rows["val/mae"] == ["1 (min 1; not finite at step 0)", "1 (min 1)"]
    assert rows["val/top1"] == ["4 (max 4; not finite at step 1)", "4 (max 4)"]


def test_compare_as_json(clone: Any, pair: list[dict[str, Any]], registry: Registry) -> None:
    broken, healthy = json.loads(registry("compare", *(task["id"] for task in pair), "--json").out)
    assert (broken["main"], broken["best_run"], healthy["main"], healthy["best_run"]) == ("grasp/effort", False, "grasp/effort", True)
    assert broken["scalars"]["grasp/effort"] == {"last": None, "best": None, "best_is": "min", "not_finite": "since step 2"}
    assert broken["scalars"]["loss/val"] == {"last": None, "best": None, "best_is": "min", "not_finite": "since step 0"}
    assert broken["scalars"]["val/mae"] == {"last": 1.0, "best": 1.0, "best_is": "min", "not_finite": "at step 0"}
    assert healthy["scalars"]["grasp/effort"] == {"last": pytest.approx(0.4), "best": pytest.approx(0.3), "best_is": "min"}


def test_status_shows_the_main_metric_and_what_diverged_first(clone: Any, pair: list[dict[str, Any]], registry: Registry) -> None:
    broken, healthy = registry("status", *(task["id"] for task in pair)).lines[-2:]
    told = ("grasp/effort not finite since step 2", "loss/scale not finite since step 3", "loss/val not finite since step 0")
    assert [broken.index(text) for text in told] == sorted(broken.index(text) for text in told)
    assert "grasp/effort=0.4" in healthy
    assert "finite" not in healthy
    first, second = json.loads(registry("status", *(task["id"] for task in pair), "--json").out)
    assert (first["not_finite"]["grasp/effort"], second["not_finite"]) == ("since step 2", {})


def test_no_run_is_the_best_if_all_diverged(pair: list[dict[str, Any]]) -> None:
    broken, _ = pair
    assert dict(results([broken, broken]))["grasp/effort"] == ["not finite since step 2"] * 2


def test_plots_and_artifacts_are_json_that_browsers_read(runs: Runs, server: LocalServer) -> None:
    (plot,) = server.call("events.get_task_plots", task=runs.broken["id"])["plots"]
    assert json.loads(plot["plot_str"], parse_constant=pytest.fail)["data"][0]["z"] == [[1, None], [None, 4]]
    (artifact,) = [each for each in runs.broken["execution"]["artifacts"] if each["key"] == "result"]
    assert json.loads(artifact["type_data"]["preview"], parse_constant=pytest.fail) == {"recall": None, "loss": [1.0, None]}
