"""The parts of a task: hyper-parameters, configuration, artifacts, models, requirements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from .documents import MODELS, TASKS, Json, now
from .errors import IllegalStatusError, InvalidRequestError

# In this section, users annotate runs that have ended.
ALWAYS_EDITABLE_SECTION = "properties"


# The parts of a task that has ended cannot be changed, even by force.
_UNFINISHED = {"created", "queued", "in_progress"}


def _open(db: sqlite3.Connection, task: str, allowed: set[str]) -> Json:
    """The task, if its status allows editing its parts."""
    document = TASKS.get(db, task)
    if document["status"] not in allowed:
        raise IllegalStatusError(
            f"Invalid task status: id={task}, status={document['status']}, expected to be {' or '.join(sorted(allowed))}"
        )
    return document


def _by_force(force: bool) -> set[str]:
    """The statuses that allow edits: a draft's parts can be edited freely, those of a queued or running task by force."""
    return _UNFINISHED if force else {"created"}


def _save(db: sqlite3.Connection, document: Json) -> None:
    time = now()
    TASKS.save(db, document | {"last_change": time, "last_update": time})


def get_hyper_params(db: sqlite3.Connection, tasks: list[str]) -> Json:
    found = [TASKS.get(db, task) for task in tasks]
    items = ([item for section in (task["hyperparams"] or {}).values() for item in section.values()] for task in found)
    return {"params": [{"task": task["id"], "hyperparams": each} for task, each in zip(found, items, strict=True)]}


def edit_hyper_params(
    db: sqlite3.Connection, task: str, hyperparams: list[dict[str, Any]], replace_hyperparams: str = "none", force: bool = False
) -> Json:
    """Set single parameters. `replace_hyperparams` drops all others, or all others in the given sections."""
    named = [(item.get("section") or "", item.get("name") or "", item) for item in hyperparams]
    if not all(section and name for section, name, _ in named):
        raise InvalidRequestError("Validation error: each hyper-parameter needs a section and a name")
    sections = {section for section, _, _ in named}
    document = TASKS.get(db, task) if sections <= {ALWAYS_EDITABLE_SECTION} else _open(db, task, _by_force(force))
    held: Json = dict(document["hyperparams"] or {})
    if replace_hyperparams == "all":
        held = {}
    elif replace_hyperparams == "section":
        held = {section: items for section, items in held.items() if section not in sections}
    for section, name, item in named:
        held[section] = dict(held.get(section) or {}) | {name: ((held.get(section) or {}).get(name) or {}) | item}
    _save(db, document | {"hyperparams": held})
    return {"updated": 1}


def delete_hyper_params(db: sqlite3.Connection, task: str, hyperparams: list[dict[str, Any]], force: bool = False) -> Json:
    """Delete parameters. A key without a name stands for its section. An empty section is kept; the count is that of the request."""
    sections = {key.get("section") for key in hyperparams}
    document = TASKS.get(db, task) if sections <= {ALWAYS_EDITABLE_SECTION} else _open(db, task, _by_force(force))
    held: Json = dict(document["hyperparams"] or {})
    for key in hyperparams:
        section = key.get("section") or ""
        if not key.get("name"):
            held.pop(section, None)
        elif section in held:
            held[section] = {name: item for name, item in held[section].items() if name != key["name"]}
    _save(db, document | {"hyperparams": held})
    return {"deleted": len(hyperparams)}


def get_configurations(db: sqlite3.Connection, tasks: list[str], names: list[str] | None = None) -> Json:
    found = [TASKS.get(db, task) for task in tasks]
    chosen = ([item for name, item in (task["configuration"] or {}).items() if names is None or name in names] for task in found)
    return {"configurations": [{"task": task["id"], "configuration": items} for task, items in zip(found, chosen, strict=True)]}


def get_configuration_names(db: sqlite3.Connection, tasks: list[str], skip_empty: bool = True) -> Json:
    found = [TASKS.get(db, task) for task in tasks]
    return {
        "configurations": [
            {
                "task": task["id"],
                "names": sorted(name for name, item in (task["configuration"] or {}).items() if item.get("value") or not skip_empty),
            }
            for task in found
        ]
    }


def edit_configuration(
    db: sqlite3.Connection, task: str, configuration: list[dict[str, Any]], replace_configuration: bool = False, force: bool = False
) -> Json:
    document = _open(db, task, _by_force(force))
    held: Json = {} if replace_configuration else dict(document["configuration"] or {})
    for item in configuration:
        if not item.get("name"):
            raise InvalidRequestError("Validation error: each configuration needs a name")
        held[item["name"]] = (held.get(item["name"]) or {}) | item
    _save(db, document | {"configuration": held})
    return {"updated": 1}


def delete_configuration(db: sqlite3.Connection, task: str, configuration: list[str], force: bool = False) -> Json:
    document = _open(db, task, _by_force(force))
    held: Json = document["configuration"] or {}
    _save(db, document | {"configuration": {name: item for name, item in held.items() if name not in configuration}})
    return {"deleted": len(set(configuration) & set(held))}


def set_requirements(db: sqlite3.Connection, task: str, requirements: dict[str, Any]) -> Json:
    document = TASKS.get(db, task)
    document["script"] = (document["script"] or {}) | {"requirements": requirements}
    _save(db, document)
    return {"updated": 1, "fields": {"script.requirements": requirements}}


def add_or_update_artifacts(db: sqlite3.Connection, task: str, artifacts: list[dict[str, Any]], force: bool = False) -> Json:
    """Set artifacts, which are identified by key and mode."""
    document = _open(db, task, _UNFINISHED)
    held = {_key(artifact): artifact for artifact in document["execution"].get("artifacts") or []}
    for artifact in artifacts:
        if not artifact.get("key") or not artifact.get("type"):
            raise InvalidRequestError("Validation error: each artifact needs a key and a type")
        held[_key(artifact)] = {"mode": "output"} | artifact
    _save(db, document | {"execution": document["execution"] | {"artifacts": list(held.values())}})
    return {"updated": 1}


def delete_artifacts(db: sqlite3.Connection, task: str, artifacts: list[dict[str, Any]], force: bool = False) -> Json:
    document = _open(db, task, _UNFINISHED)
    held = document["execution"].get("artifacts") or []
    unwanted = {_key(artifact) for artifact in artifacts}
    kept = [artifact for artifact in held if _key(artifact) not in unwanted]
    _save(db, document | {"execution": document["execution"] | {"artifacts": kept}})
    return {"deleted": len(held) - len(kept)}


def _key(artifact: Json) -> tuple[str, str]:
    return artifact.get("key") or "", artifact.get("mode") or "output"


def add_or_update_model(db: sqlite3.Connection, task: str, name: str, model: str, type_: str, iteration: int | None = None) -> Json:
    """Add a model to the task's inputs or outputs, under a name."""
    if type_ not in ("input", "output"):
        raise InvalidRequestError(f"Validation error: model type '{type_}', expected input or output")
    document = _open(db, task, _UNFINISHED)
    MODELS.require(db, [model])
    held = [item for item in document["models"].get(type_) or [] if item["name"] != name]
    document["models"] = document["models"] | {type_: [*held, {"name": name, "model": model}]}
    if iteration is not None:
        document["last_iteration"] = max(document["last_iteration"], iteration)
    _save(db, document)
    return {"updated": 1}


def delete_models(db: sqlite3.Connection, task: str, models: list[dict[str, Any]]) -> Json:
    document = TASKS.get(db, task)
    unwanted: Iterable[tuple[Any, Any]] = {(item.get("type"), item.get("name")) for item in models}
    document["models"] = {
        kind: [item for item in items or [] if (kind, item["name"]) not in unwanted] for kind, items in document["models"].items()
    }
    _save(db, document)
    return {"updated": 1}
