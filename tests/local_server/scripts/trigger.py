"""ClearML's TriggerScheduler: what a task, a dataset and a model that change set off. Writes what it saw to the file it is given."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from clearml import Dataset, Task
from clearml.automation import TriggerScheduler
from clearml.backend_api.session.client import APIClient

folder = Path(sys.argv[1])
QUEUE, PROJECT = "triggered", "trigger"
client = APIClient()
client.queues.create(name=QUEUE)
client.projects.create(name=f"{PROJECT}/.datasets/set", system_tags=["hidden", "dataset"])  # a trigger watches the datasets that there are
job = Task.create(PROJECT, "job", script="train.py", repo="https://host.invalid/repo.git", branch="main", packages=[])

scheduler = TriggerScheduler(pooling_frequency_minutes=0.005, force_create_task_name="scheduler", force_create_task_project="triggers")
common = {"schedule_task_id": job.id, "schedule_queue": QUEUE, "trigger_project": PROJECT}
scheduler.add_task_trigger(**common, name="by task", trigger_on_status=["completed"], task_parameters={"Args/by": "${task.id}"})
scheduler.add_dataset_trigger(**common, name="by set", task_parameters={"Args/by": "${dataset.id}"})
scheduler.add_model_trigger(**common, name="by model", trigger_on_tags=["best"], task_parameters={"Args/by": "${model.id}"})
threading.Thread(target=scheduler.start, daemon=True).start()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)


wait_for(lambda: all(trigger.last_update for trigger in scheduler.get_triggers()))  # what came before its first look sets off nothing

ended = client.tasks.create(name="ended", type="training", project=job.project).id
client.tasks.started(task=ended)
client.tasks.completed(task=ended)
model = client.models.create(name="weights", uri="file:///w.bin", project=job.project, tags=["best"]).id
dataset = Dataset.create("set", PROJECT)
(folder / "data.txt").write_text("data")
dataset.add_files(folder / "data.txt")
dataset.upload(show_progress=False)
dataset.finalize()


def queued() -> list[str]:
    return [entry.task for entry in client.queues.get_all(name=f"^{QUEUE}$")[0].entries]


wait_for(lambda: len(queued()) >= 3)
by = {Task.get_task(task).get_parameter("Args/by"): Task.get_task(task).parent for task in queued()}
found = {"job": job.id, "sources": {"task": ended, "model": model, "dataset": dataset.id}, "queued": by}
(folder / "found.json").write_text(json.dumps(found))
