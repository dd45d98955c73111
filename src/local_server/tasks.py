"""Tasks: creating, finding, editing, cloning, moving, archiving. Their statuses are in statuses.py, their parts in task_parts.py."""

from __future__ import annotations

import sqlite3
from typing import Any

from . import curves, projects, transitions
from .documents import COMPANY, INVALID_FIELD, PROJECTS, TASKS, USER, Json, check_name, expanded, now, pick, scroll
from .errors import IllegalStatusError, InvalidRequestError
from .fields import check
from .query import Where

FIELDS: dict[str, Any] = {
    **dict.fromkeys(("name", "type", "comment", "parent", "project", "output_dest"), str),
    **dict.fromkeys(("tags", "system_tags"), list[str]),
    **dict.fromkeys(("script", "execution", "models", "container", "runtime", "input"), dict[str, Any]),
    "configuration": dict[str, dict[str, Any]],
    "hyperparams": dict[str, dict[str, dict[str, Any]]],
}
TYPES = {
    *("training", "testing", "inference", "data_processing", "application", "monitor", "controller", "optimizer", "service"),
    *("qc", "custom", "annotation", "annotation_manual", "dataset_import", "report"),
}
# An edit of these contains single fields, which are merged; an edit of anything else replaces it.
_MERGED = ("script", "execution")
_ARCHIVED = "archived"


def new(db: sqlite3.Connection, fields: Json) -> str:
    """Create a draft with the given fields.

    Raises:
        InvalidRequestError: its name is too short, or its project or parent does not exist.
    """
    check_name("task", fields["name"])
    _check_references(db, fields)
    time = now()
    document: Json = {
        **{"type": "training", "comment": "", "project": None, "parent": None, "tags": [], "system_tags": []},
        **{"script": {}, "hyperparams": {}, "configuration": {}, "container": {}, "runtime": {}},
        **{"user": USER["id"], "company": COMPANY["id"], "created": time, "last_update": time, "last_change": time},
        **{"status": "created", "status_changed": time, "status_reason": "", "status_message": "", "last_iteration": 0},
        **{key: value for key, value in fields.items() if value is not None},
        "output": {"destination": fields["output_dest"]} if fields.get("output_dest") else {},
        "execution": {"artifacts": [], "model_labels": {}} | (fields.get("execution") or {}),
        "models": {"input": [], "output": []} | (fields.get("models") or {}),
    }
    document.pop("output_dest", None)
    if document["project"]:
        db.execute("UPDATE project SET doc = json_set(doc, '$.last_update', ?) WHERE id = ?", (time, document["project"]))
    return TASKS.insert(db, document)


def _check_references(db: sqlite3.Connection, fields: Json) -> None:
    PROJECTS.require(db, [fields["project"]] if fields.get("project") else [], subcode=16)
    TASKS.require(db, [fields["parent"]] if fields.get("parent") else [], subcode=16)


def _check_fields(name: str, fields: Json) -> None:
    """Raises InvalidRequestError for a wrong type of field or task, and for a hyper-parameter without a section or a text value."""
    check(name, fields, FIELDS)
    if fields.get("type") and fields["type"] not in TYPES:
        raise InvalidRequestError(f"Validation error: task type '{fields['type']}', expected one of {', '.join(sorted(TYPES))}")
    for item in (item for section in (fields.get("hyperparams") or {}).values() for item in section.values()):
        if not item.get("section") or not isinstance(item.get("value"), str | None):
            raise InvalidRequestError(
                f"Validation error: hyper-parameter '{item.get('name')}' needs a section, and text as its value", subcode=INVALID_FIELD
            )


def create(db: sqlite3.Connection, name: str, type_: str, **asked: Any) -> Json:
    _check_fields("tasks.create", {"type": type_, **asked})
    return {"id": new(db, {"name": name, "type": type_} | {key: asked[key] for key in FIELDS if key in asked})}


def validate(db: sqlite3.Connection, name: str, type_: str, **asked: Any) -> Json:
    check_name("task", name)
    return {}


def get_by_id(db: sqlite3.Connection, task: str) -> Json:
    """The complete task, except `active_duration`, which ClearML returns only in lists."""
    document = TASKS.get(db, task)
    document.pop("active_duration", None)
    return {"task": document | {"last_metrics": curves.last_metrics(db, [task])[task]}}


def get_all(db: sqlite3.Connection, **asked: Any) -> Json:
    """Takes all filters of query.py; `only_fields` may select nested fields, also in `last_metrics`."""
    found = _found(db, asked)
    return {"tasks": [pick(task, asked.get("only_fields")) for task in found], **scroll(asked, found)}


def get_all_ex(db: sqlite3.Connection, **asked: Any) -> Json:
    """Like get_all; `only_fields` may also select fields of what a task refers to: `project.name`, `parent.name`, `user.name`."""
    found = _found(db, asked)
    return {"tasks": [expanded(db, task, asked.get("only_fields")) for task in found], **scroll(asked, found)}


def get_reports(db: sqlite3.Connection, **asked: Any) -> Json:
    """ClearML's reports, which are tasks of the type `report`."""
    return get_all_ex(db, **(asked | {"type": ["report"]}))


def _found(db: sqlite3.Connection, asked: Json) -> list[Json]:
    extra = []
    if asked.get("include_subprojects") and asked.get("project"):
        ids = projects.with_descendants(db, asked.pop("project"))
        extra.append(Where(f"doc ->> '$.project' IN ({', '.join('?' * len(ids))})", tuple(ids)))
    found = TASKS.find(db, asked, *extra, default_order=["-last_update"])
    fields = asked.get("only_fields")
    if not fields or any(field.split(".")[0] == "last_metrics" for field in fields):
        metrics = curves.last_metrics(db, [task["id"] for task in found])
        for task in found:
            task["last_metrics"] = metrics[task["id"]]
    return found


def get_types(db: sqlite3.Connection, projects: list[str] | None = None) -> Json:
    condition, values = ("1", []) if not projects else (f"doc ->> '$.project' IN ({', '.join('?' * len(projects))})", projects)
    return {"types": [row[0] for row in db.execute(f"SELECT DISTINCT doc ->> '$.type' FROM task WHERE {condition} ORDER BY 1", values)]}


def edit(db: sqlite3.Connection, task: str, force: bool = False, **asked: Any) -> Json:
    """Edit a task: a draft freely, any other by force."""
    _check_fields("tasks.edit", asked)
    document = TASKS.get(db, task)
    fields = {key: asked[key] for key in FIELDS if key in asked}
    if document["status"] != "created" and not force:
        raise IllegalStatusError(f"Invalid task status: id={task}, status={document['status']}, expected to be created")
    if "name" in fields:
        fields["name"] = check_name("task", fields["name"])
    _check_references(db, fields)
    for key in _MERGED:
        if key in fields:
            fields[key] = (document.get(key) or {}) | fields[key]
    if "output_dest" in fields:
        fields["output"] = (document.get("output") or {}) | {"destination": fields.pop("output_dest")}
    return _updated(db, document, fields)


def update(
    db: sqlite3.Connection,
    task: str,
    name: str | None = None,
    comment: str | None = None,
    project: str | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    output__error: str | None = None,
) -> Json:
    document = TASKS.get(db, task)
    given: Json = {
        "name": name and check_name("task", name),
        "comment": comment,
        "project": project,
        "tags": tags,
        "system_tags": system_tags,
    }
    PROJECTS.require(db, [project] if project else [])
    if output__error is not None:
        given["output"] = (document.get("output") or {}) | {"error": output__error}
    return _updated(db, document, {key: value for key, value in given.items() if value is not None})


def _updated(db: sqlite3.Connection, document: Json, fields: Json) -> Json:
    time = now()
    TASKS.save(db, document | fields | {"last_change": time, "last_update": time})
    return {"updated": 1, "fields": fields}


def clone(
    db: sqlite3.Connection,
    task: str,
    new_task_name: str | None = None,
    new_task_comment: str | None = None,
    new_task_tags: list[str] | None = None,
    new_task_system_tags: list[str] | None = None,
    new_task_parent: str | None = None,
    new_task_project: str | None = None,
    new_project_name: str | None = None,
    new_task_hyperparams: dict[str, Any] | None = None,
    new_task_configuration: dict[str, Any] | None = None,
    new_task_container: dict[str, Any] | None = None,
    new_task_input_models: list[Any] | None = None,
    execution_overrides: dict[str, Any] | None = None,
) -> Json:
    """Create a draft with the same script, settings and inputs, as a child of the original; outputs are not copied."""
    original = TASKS.get(db, task)
    if new_project_name and not new_task_project:
        new_task_project = projects.ensure(db, new_project_name)
    execution = (original["execution"] or {}) | (execution_overrides or {})
    execution["artifacts"] = [artifact for artifact in execution.get("artifacts") or [] if artifact.get("mode") == "input"]
    execution.pop("queue", None)
    fields = {
        key: original.get(key) for key in ("type", "script", "tags", "comment", "project", "hyperparams", "configuration", "container")
    }
    fields |= {"parent": task, "output_dest": (original.get("output") or {}).get("destination")}
    given = {
        **{"name": new_task_name or original["name"], "comment": new_task_comment, "tags": new_task_tags, "project": new_task_project},
        **{"parent": new_task_parent, "hyperparams": new_task_hyperparams, "configuration": new_task_configuration},
        "container": new_task_container,
    }
    fields |= {key: value for key, value in given.items() if value is not None}
    models = new_task_input_models if new_task_input_models is not None else original["models"].get("input") or []
    fields |= {"system_tags": new_task_system_tags or [], "execution": execution, "models": {"input": models, "output": []}}
    identity = new(db, fields)
    answer: Json = {"id": identity}
    if new_project_name and new_task_project:
        answer["new_project"] = {"id": new_task_project, "name": PROJECTS.get(db, new_task_project)["name"]}
    return answer


def move(db: sqlite3.Connection, ids: list[str], project: str | None = None, project_name: str | None = None) -> Json:
    if not (project or project_name):
        raise InvalidRequestError("Validation error: give project or project_name", subcode=11)
    target = project or projects.ensure(db, project_name or "")
    PROJECTS.require(db, [target])
    for task in ids:
        _updated(db, TASKS.get(db, task), {"project": target})
    return {"project_id": target}


def archive(db: sqlite3.Connection, task: str) -> Json:
    """Archive a task, by the system tag `archived`. A queued task is dequeued, a running one is stopped."""
    document = TASKS.get(db, task)
    if document["status"] == "queued":
        transitions.dequeue(db, task)
    elif document["status"] == "in_progress":
        transitions.stopped(db, task, status_reason="archived")
    document = TASKS.get(db, task)
    return _updated(db, document, {"system_tags": sorted({*document["system_tags"], _ARCHIVED})})


def unarchive(db: sqlite3.Connection, task: str) -> Json:
    document = TASKS.get(db, task)
    return _updated(db, document, {"system_tags": [tag for tag in document["system_tags"] if tag != _ARCHIVED]})


def archive_some(db: sqlite3.Connection, tasks: list[str]) -> Json:
    for task in tasks:
        archive(db, task)
    return {"archived": len(tasks)}
