"""Fills a server through the real SDK with the runs that the tests look at, then writes into the running one on command.

    CLEARML_CONFIG_FILE=... python tests/browser/fill.py

Prints one JSON line of IDs. Each line on its standard input then becomes a line of the running task's log; its end completes that task.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from clearml import Dataset, OutputModel, Task
from clearml.backend_api import Session
from clearml.backend_api.session.client import APIClient

from harness.metrics import PROPERTY, Metrics
from harness.report import ClearMLReport

PROJECT = "clearml-example-project"
SCRIPT = "clearml_tasks/clip/clearml_train.py"
HOSTILE = "<img src=x onerror=\"window.hacked='%s'\"><script>window.hacked='%s'</script>"
RATES = {"fast": 1e-3, "slow": 1e-4}


def hostile(place: str) -> str:
    """A text that runs a script wherever it is taken for HTML, and names the place."""
    return HOSTILE % (place, place)


def new_task(name: str, settings: dict[str, Any], *, tags: list[str] | None = None, project: str = PROJECT) -> Task:
    task = Task.create(project_name=project, task_name=name, task_type="training")
    task.set_script(
        repository="https://example.org/workloads.git",
        branch="main",
        commit="0" * 40,
        working_dir=".",
        entry_point="clearml_tasks/clip/clearml_train.py",
    )
    task.set_parameters({f"Settings/{key}": value for key, value in settings.items()} | {"Args/config": "smoke"})
    if tags:
        task.set_tags(tags)
    return task


def picture(shade: int) -> np.ndarray:
    image = np.full((48, 64, 3), shade, np.uint8)
    image[8:24, 8:24] = (220, 60, 40)
    return image


def trained(name: str, rate: float, folder: Path) -> str:
    """A finished run with everything that a run can leave."""
    task = new_task(name, {"optim.lr": rate, "train.epochs": 4, "model.name": "small"}, tags=["baseline", name])
    task.mark_started()
    logger = task.get_logger()
    for step in range(60):
        logger.report_scalar("train", "loss", 3 * math.exp(-step * rate * 40) + 0.1, step)
        if step % 10 == 9:
            logger.report_scalar("validation", "recall@1", step / 60 * (1 if rate > 5e-4 else 0.5), step)
    logger.report_scalar(":monitor:machine", "cpu_usage", 50.0, 1)
    for step in (20, 40):
        logger.report_image("validation", "sample 0", iteration=step, image=picture(step * 4))
    logger.report_plotly("validation", "confusion", go.Figure(go.Heatmap(z=[[5, 1], [2, 7]])), iteration=40)
    logger.report_text(f"{name}: epoch 1 of 4")
    task.upload_artifact("predictions", {"recall": 0.5, "run": name}, wait_on_upload=True)
    weights = folder / f"{name}.ckpt"
    weights.write_bytes(b"weights of " + name.encode())
    OutputModel(task=task, name=f"{name} model", framework="PyTorch").update_weights(
        str(weights), auto_delete_file=False, async_enable=False, upload_uri=Session.get_files_server_host()
    )
    task.flush(wait_for_uploads=True)
    task.mark_completed()
    return str(task.id)


NAN, INF = math.nan, math.inf
LOSSES: dict[str, list[float]] = {
    "healthy": [3 / step for step in range(1, 21)],
    "late": [4 / step for step in range(1, 15)] + [NAN] * 6,
    "mended": [NAN, NAN] + [5 / step for step in range(3, 9)] + [INF, -INF, NAN, NAN] + [6 / step for step in range(13, 21)],
    "never": [NAN] * 20,
}
"""Runs that are healthy, diverge, come back, were never finite, by the values of their losses."""


def diverging(name: str, losses: list[float]) -> str:
    """A run of these losses, at steps from 1 on. Its effort is what it is judged by, and is the square of its loss."""
    task = new_task(name, {"optim.lr": 1e-3 * len(name), "train.epochs": 1}, project="diverging")
    task.mark_started()
    task.set_user_properties(**{PROPERTY: Metrics.of({"main": "grasp/effort", "lower": "grasp/effort"}).stated()})
    report = ClearMLReport(task)
    for step, loss in enumerate(losses, 1):
        report.scalar("grasp", "effort", loss**2, step)
        report.scalar("a loss", "train", loss, step)
        report.scalar("accuracy", "accuracy", step / 20, step)
        time.sleep(0.003)  # points of one millisecond are one on an axis of time
    figure = {"data": [{"type": "heatmap", "z": [[1.0, NAN], [INF, 4.0]]}], "layout": {}}
    report.plot("by report", "gaps", figure)
    task.get_logger().report_plotly("by the SDK alone", "gaps", figure, iteration=0)
    report.flush()
    task.mark_completed()
    return str(task.id)


def failed() -> str:
    task = new_task("broken", {"optim.lr": 10.0, "train.epochs": 4, "model.name": "small"})
    task.mark_started()
    task.mark_failed(status_reason="ParameterError", status_message="optim.lr: 10.0 is above the limit of 1.0")
    return str(task.id)


def attacking(folder: Path) -> str:
    """A run whose every text tries to run a script in the reader's browser."""
    settings = {"attack": hostile("setting"), hostile("key"): "1"}
    task = new_task(f"attack {hostile('name')}", settings, tags=[hostile("tag")], project=f"attack {hostile('project')}")
    task.mark_started()
    logger = task.get_logger()
    for step in range(3):
        logger.report_scalar(f"attack {hostile('metric')}", f"attack {hostile('series')}", 1.0 + step, step)
    series = f"attack {hostile('metric')}/attack {hostile('series')}"
    noted = {"not_finite": {series: f"since step 1{hostile('gap')}"}, "metrics": {"main": [series, hostile("main")]}}
    task.set_user_properties(**{name: json.dumps(value) for name, value in noted.items()})
    logger.report_text(f"attack {hostile('log')}\x1b[31m red \x1b[0m")
    logger.report_image(f"attack {hostile('image')}", "x", iteration=1, image=picture(90))
    figure = go.Figure(go.Scatter(x=[1, 2], y=[1, 2], name=hostile("trace"), text=[hostile("point")] * 2, mode="markers+text"))
    figure.update_layout(title=hostile("title"), xaxis_title='<a href="javascript:window.hacked=1">attack link</a>', showlegend=True)
    figure.update_layout(modebar_add=["sendChartToCloud"])
    logger.report_plotly("attack", hostile("plot"), figure, iteration=1)
    page = folder / "attack.html"
    page.write_text("<script>window.opener ? (window.opener.hacked = 'file') : 0; document.title = 'ran'</script>")
    task.upload_artifact(f"attack {hostile('artifact')}", page, wait_on_upload=True)
    task.flush(wait_for_uploads=True)
    task.mark_failed(status_reason=hostile("reason"), status_message=hostile("message"))
    return str(task.id)


def dataset(folder: Path, parent: str | None = None) -> str:
    made = Dataset.create(dataset_name="tabletop-pairs", dataset_project="public", parent_datasets=[parent] if parent else None)
    made.add_files(str(folder))
    made.upload(verbose=False, show_progress=False)
    made.finalize()
    return str(made.id)


def waiting() -> str:
    task = new_task("waiting", {"optim.lr": 1e-2})
    client = APIClient()
    if not client.queues.get_all(name="^gpu01$"):
        client.queues.create(name="gpu01")
    Task.enqueue(task, queue_name="gpu01")
    return str(task.id)


def dataset_versions(folder: Path) -> dict[str, str]:
    pairs = folder / "pairs"
    pairs.mkdir()
    (pairs / "0.txt").write_text("a red cube")
    first = dataset(pairs)
    (pairs / "1.txt").write_text("a blue bowl")
    return {"dataset": first, "child": dataset(pairs, first)}


def running() -> Task:
    task = new_task("live", {"optim.lr": 1e-3})
    task.mark_started()
    task.get_logger().report_text("line 0")
    task.flush()
    return task


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    live = running()  # the first task comes before the threads: the SDK reads its configuration then, with a parser for one thread alone
    with ThreadPoolExecutor(4) as pool:
        made = {name: pool.submit(trained, name, rate, folder) for name, rate in RATES.items()}
        made |= {"broken": pool.submit(failed), "attack": pool.submit(attacking, folder), "waiting": pool.submit(waiting)}
        made |= {name: pool.submit(diverging, name, losses) for name, losses in LOSSES.items()}
        versions = pool.submit(dataset_versions, folder)
    ids = {name: future.result() for name, future in made.items()} | versions.result() | {"live": str(live.id)}
    print(json.dumps({"ids": ids}), flush=True)
    for line in sys.stdin:
        live.get_logger().report_text(line.rstrip())
        live.flush()
    live.mark_completed()


if __name__ == "__main__":
    main()
