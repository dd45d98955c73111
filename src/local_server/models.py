"""Models: where weights are stored, what they are, and which task made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from .documents import COMPANY, MODELS, PROJECTS, TASKS, USER, Json, check_name, expanded, now, pick, scroll
from .errors import InvalidRequestError
from .fields import check

FIELDS: dict[str, Any] = {
    **dict.fromkeys(("name", "uri", "comment", "framework", "project", "parent", "task"), str),
    **dict.fromkeys(("tags", "system_tags"), list[str]),
    **{"design": dict[str, Any], "labels": dict[str, int], "ready": bool},
}
_ARCHIVED = "archived"


def _fields(db: sqlite3.Connection, asked: Json) -> Json:
    check("models", asked, FIELDS | {"metadata": list[dict[str, Any]] | dict[str, dict[str, Any]]})
    fields = {key: asked[key] for key in FIELDS if key in asked}
    if "name" in fields:
        fields["name"] = check_name("model", fields["name"])
    PROJECTS.require(db, [fields["project"]] if fields.get("project") else [])
    TASKS.require(db, [fields["task"]] if fields.get("task") else [])
    MODELS.require(db, [fields["parent"]] if fields.get("parent") else [])
    if "metadata" in asked:
        fields["metadata"] = _metadata(asked["metadata"])
    return fields


def _metadata(items: Any) -> Json:
    """Metadata by key, given as a list or already by key."""
    return {str(item.get("key")): item for item in (items.values() if isinstance(items, dict) else items)}


def _new(db: sqlite3.Connection, fields: Json) -> str:
    time = now()
    made: Json = {
        **{"comment": "", "tags": [], "system_tags": [], "framework": "", "design": {}, "labels": {}, "ready": False, "metadata": {}},
        **{"project": None, "parent": None, "task": None, "user": USER["id"], "company": COMPANY["id"]},
        **{"created": time, "last_update": time},
    }
    return MODELS.insert(db, made | fields)


def create(db: sqlite3.Connection, name: str, uri: str, **asked: Any) -> Json:
    """Create a model. Unless `ready` is given, it is published from the start."""
    fields = _fields(db, {"ready": True, "name": name, "uri": uri, **asked})
    if not fields.get("project") and fields.get("task"):
        fields["project"] = TASKS.get(db, fields["task"])["project"]
    return {"id": _new(db, fields), "created": True}


def edit(db: sqlite3.Connection, model: str, iteration: int | None = None, **asked: Any) -> Json:
    document = MODELS.get(db, model)
    fields = _fields(db, asked)
    MODELS.save(db, document | fields | {"last_update": now()})
    return {"updated": 1, "fields": fields}


def get_by_id(db: sqlite3.Connection, model: str) -> Json:
    return {"model": MODELS.get(db, model)}


def get_by_task_id(db: sqlite3.Connection, task: str = "") -> Json:
    made = TASKS.get(db, task)["models"].get("output") or []
    if not made:
        raise InvalidRequestError(f"Task has no output model: {task}", subcode=202)
    return {"model": MODELS.get(db, made[-1]["model"])}


def get_all(db: sqlite3.Connection, **asked: Any) -> Json:
    found = MODELS.find(db, asked, default_order=["-last_update"])
    return {"models": [pick(model, asked.get("only_fields")) for model in found], **scroll(asked, found)}


def get_all_ex(db: sqlite3.Connection, **asked: Any) -> Json:
    """Like get_all; `only_fields` may also select fields of what a model refers to: `project.name`, `task.name`, `user.name`."""
    found = MODELS.find(db, asked, default_order=["-last_update"])
    return {"models": [expanded(db, model, asked.get("only_fields")) for model in found], **scroll(asked, found)}


def get_frameworks(db: sqlite3.Connection) -> Json:
    rows = db.execute("SELECT DISTINCT doc ->> '$.framework' FROM model WHERE doc ->> '$.framework' != '' ORDER BY 1")
    return {"frameworks": [name for (name,) in rows]}


def update_for_task(
    db: sqlite3.Connection,
    task: str,
    uri: str | None = None,
    override_model_id: str | None = None,
    name: str | None = None,
    comment: str | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    iteration: int | None = None,
) -> Json:
    """Set the file of the task's output model, which is created if there is none."""
    document = TASKS.get(db, task)
    made = document["models"].get("output") or []
    if bool(uri) == bool(override_model_id):
        raise InvalidRequestError("Validation error: give exactly one of uri and override_model_id")
    identity = override_model_id or (made[-1]["model"] if made else None)
    given = {"name": name, "uri": uri, "comment": comment, "tags": tags, "system_tags": system_tags}
    fields = _fields(db, {key: value for key, value in given.items() if value is not None})
    if identity is not None:
        MODELS.save(db, MODELS.get(db, identity) | fields | {"last_update": now()})
        answer: Json = {"id": identity, "created": False, "updated": 1, "fields": fields}
    else:
        identity = _new(db, {"name": document["name"], "task": task, "project": document["project"]} | fields)
        answer = {"id": identity, "created": True, "updated": 0}
    if all(item["model"] != identity for item in made):
        document["models"] = document["models"] | {"output": [*made, {"name": MODELS.get(db, identity)["name"], "model": identity}]}
    if iteration is not None:
        document["last_iteration"] = max(document["last_iteration"], iteration)
    TASKS.save(db, document | {"last_update": now()})
    return answer


def publish(db: sqlite3.Connection, model: str) -> None:
    """Mark a model as final."""
    MODELS.save(db, MODELS.get(db, model) | {"ready": True, "last_update": now()})


def delete(db: sqlite3.Connection, model: str, force: bool = False) -> Json:
    """Delete a model. A published one, or one that is the input of a task, takes force."""
    document = MODELS.get(db, model)
    sql = "SELECT count(*) FROM task, json_each(task.doc, '$.models.input') item WHERE item.value ->> '$.model' = ?"
    used = db.execute(sql, (model,)).fetchone()[0]
    if not force and (document["ready"] or used):
        raise InvalidRequestError(
            f"Model is {'published' if document['ready'] else f'used by {used} tasks'}: {model}; use force=true", subcode=203
        )
    MODELS.delete(db, model)
    return {"deleted": True, "url": document.get("uri")}


def archive(db: sqlite3.Connection, model: str) -> None:
    """Archive a model, by the system tag `archived`."""
    _tag(db, model, lambda tags: {*tags, _ARCHIVED})


def unarchive(db: sqlite3.Connection, model: str) -> None:
    _tag(db, model, lambda tags: {*tags} - {_ARCHIVED})


def _tag(db: sqlite3.Connection, model: str, changed: Callable[[list[str]], set[str]]) -> None:
    document = MODELS.get(db, model)
    MODELS.save(db, document | {"system_tags": sorted(changed(document["system_tags"])), "last_update": now()})


def add_or_update_metadata(db: sqlite3.Connection, model: str, metadata: list[dict[str, Any]], replace_metadata: bool = False) -> Json:
    document = MODELS.get(db, model)
    held = {} if replace_metadata else _metadata(document.get("metadata") or {})
    MODELS.save(db, document | {"metadata": held | _metadata(metadata), "last_update": now()})
    return {"updated": 1}


def delete_metadata(db: sqlite3.Connection, model: str, keys: list[str]) -> Json:
    document = MODELS.get(db, model)
    kept = {key: item for key, item in _metadata(document.get("metadata") or {}).items() if key not in keys}
    MODELS.save(db, document | {"metadata": kept, "last_update": now()})
    return {"updated": 1}
