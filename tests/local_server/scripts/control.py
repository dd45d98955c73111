"""Drafts cloned, changed, queried, queued, stopped and deleted through the SDK. Writes what it saw to the file it is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clearml import Task
from clearml.backend_api.session.client import APIClient

folder = Path(sys.argv[1])
QUEUE = "control"
client = APIClient()
client.queues.create(name=QUEUE)

original = Task.create("control", "original", script="train.py", repo="https://host.invalid/repo.git", branch="main", packages=[])
original.set_parameters({"Args/lr": "1e-3", "Args/train.steps": "5"})
original.add_tags(["base", "keep"])
clone = Task.clone(original, name="clone", parent=original.id)
clone.set_parameter("Args/lr", "1e-4")
clone.add_tags(["child"])
Task.enqueue(clone, queue_name=QUEUE)
found = {
    "original": original.id,
    "clone": clone.id,
    "clone_parameters": clone.get_parameters(),
    "clone_status": clone.get_status(),
    "by_tags": {
        "any": sorted(task.name for task in Task.get_tasks(project_name="control", tags=["child", "base"])),
        "all": sorted(task.name for task in Task.get_tasks(project_name="control", tags=["__$all", "base", "child"])),
        "not": sorted(task.name for task in Task.get_tasks(project_name="control", tags=["base", "-child"])),
    },
    "by_name": [task.id for task in Task.get_tasks(project_name="control", task_name="^clo")],
    "by_parent": [task.id for task in Task.get_tasks(task_filter={"parent": original.id})],
    "by_status": Task.query_tasks(project_name="control", task_filter={"status": ["queued"]}),
    "extra": Task.query_tasks(project_name="control", additional_return_fields=["status"], task_filter={"order_by": ["name"]}),
    "projects": [project.name for project in Task.get_projects()],
    "entries": [entry.task for entry in client.queues.get_all(name=f"^{QUEUE}$")[0].entries],
}
Task.dequeue(clone)
found["dequeued_status"] = clone.get_status()
original.mark_started(force=True)
original.mark_stopped()
found["stopped_status"] = original.get_status()
original.reset(force=True)
found["reset_status"] = original.get_status()
found["deleted"] = clone.delete()
found["left"] = [task.id for task in Task.get_tasks(project_name="control")]
(folder / "found.json").write_text(json.dumps(found, default=str))
