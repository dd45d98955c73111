"""Projects: a tree of names joined by slashes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from .documents import COMPANY, PROJECTS, USER, Json, check_name, now, pick, scroll
from .errors import DuplicateError, InvalidRequestError
from .query import Where
from .stats import project_stats


def named(db: sqlite3.Connection, name: str) -> Json | None:
    """The project with this name, or None."""
    return next(iter(PROJECTS.select(db, "doc ->> '$.name' = ?", name)), None)


def ensure(db: sqlite3.Connection, name: str, **properties: Any) -> str:
    """The ID of the project with this name, which is created with its parents if need be."""
    return _ensure(db, checked(name), properties)


def checked(name: str) -> str:
    """A project's full name, without spaces around its parts.

    Raises:
        InvalidRequestError: a part is empty, or the last one is shorter than three characters.
    """
    parts = [part.strip() for part in name.split("/")]
    if len(parts) > 1 and not all(parts):
        raise InvalidRequestError(f"Validation error: project name '{name}' has an empty part")
    check_name("project", parts[-1])
    return "/".join(parts)


def _ensure(db: sqlite3.Connection, name: str, properties: Json) -> str:
    """As `ensure`, for a checked name. A parent's name may be shorter than three characters."""
    found = named(db, name)
    if found is not None:
        return str(found["id"])
    time = now()
    document = {
        **{**_place(db, name), "description": "", "tags": [], "system_tags": [], "default_output_destination": None},
        **{"company": COMPANY["id"], "user": USER["id"], "created": time, "last_update": time},
        **{key: value for key, value in properties.items() if value is not None},
    }
    return PROJECTS.insert(db, document)


def _place(db: sqlite3.Connection, name: str) -> Json:
    """The fields that follow from a project's name; its parents are created if need be."""
    parent, _, basename = name.rpartition("/")
    return {"name": name, "basename": basename, "parent": _ensure(db, parent, {}) if parent else None}


def descendants(db: sqlite3.Connection, project: str) -> list[Json]:
    """All projects below this one."""
    name = PROJECTS.get(db, project)["name"]
    return PROJECTS.select(db, "substr(doc ->> '$.name', 1, ?) = ?", len(name) + 1, name + "/")


def with_descendants(db: sqlite3.Connection, ids: Iterable[str]) -> list[str]:
    """The IDs of some projects and of all below them. Unknown IDs are kept."""
    found: dict[str, None] = {}
    for project in ids:
        found[project] = None
        if db.execute("SELECT 1 FROM project WHERE id = ?", (project,)).fetchone():
            found.update(dict.fromkeys(str(child["id"]) for child in descendants(db, project)))
    return list(found)


def create(
    db: sqlite3.Connection,
    name: str,
    description: str | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    default_output_destination: str | None = None,
) -> Json:
    if named(db, checked(name)) is not None:
        raise DuplicateError(f"Value combination already exists (unique field already contains this value): name={name}")
    given = {"description": description, "tags": tags, "system_tags": system_tags, "default_output_destination": default_output_destination}
    return {"id": ensure(db, name, **given)}


def get_by_id(db: sqlite3.Connection, project: str) -> Json:
    return {"project": PROJECTS.get(db, project)}


def get_all(db: sqlite3.Connection, **asked: Any) -> Json:
    """Takes the common filters, and `shallow_search`, `include_stats`, `include_dataset_stats`."""
    return _answered(db, asked)


def get_all_ex(db: sqlite3.Connection, **asked: Any) -> Json:
    """Like get_all, but `parent` selects all projects below it, not only its children."""
    parents = asked.pop("parent", None)
    if not parents:
        return _answered(db, asked)
    below = [project for parent in ([parents] if isinstance(parents, str) else parents) for project in with_descendants(db, [parent])[1:]]
    return _answered(db, asked, Where(f"id IN ({', '.join('?' * len(below))})", tuple(below)))


def _answered(db: sqlite3.Connection, asked: Json, *conditions: Where) -> Json:
    extra = list(conditions)
    if asked.get("shallow_search") and not asked.get("parent"):
        extra.append(Where("doc ->> '$.parent' IS NULL"))
    found = PROJECTS.find(db, asked, *extra, default_order=["-last_update"])
    answers = [pick(project, asked.get("only_fields")) for project in found]
    if asked.get("include_stats"):
        for one, project in zip(answers, found, strict=True):
            below = descendants(db, project["id"])
            one["sub_projects"] = [{"id": child["id"], "name": child["name"]} for child in below]
            one["stats"] = project_stats(db, [project["id"], *(child["id"] for child in below)])
    return {"projects": answers, **scroll(asked, found)}


def update(
    db: sqlite3.Connection,
    project: str,
    name: str | None = None,
    description: str | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    default_output_destination: str | None = None,
) -> Json:
    document = PROJECTS.get(db, project)
    given = {"description": description, "tags": tags, "system_tags": system_tags, "default_output_destination": default_output_destination}
    fields = {key: value for key, value in given.items() if value is not None}
    if name is not None and name != document["name"]:
        fields |= _rename(db, document, name)
    fields["last_update"] = now()
    PROJECTS.save(db, document | fields)
    return {"updated": 1, "fields": fields}


def _rename(db: sqlite3.Connection, document: Json, name: str) -> Json:
    name = checked(name)
    if named(db, name) is not None:
        raise DuplicateError(f"Value combination already exists: name={name}")
    if name.startswith(document["name"] + "/"):
        raise InvalidRequestError(f"project '{document['name']}' cannot be moved below itself", subcode=403)
    old = document["name"]
    for child in descendants(db, document["id"]):
        PROJECTS.save(db, child | {"name": re.sub(f"^{re.escape(old)}/", lambda _: name + "/", child["name"])})
    return _place(db, name)


def get_task_tags(db: sqlite3.Connection, projects: list[str] | None = None, include_system: bool = False) -> Json:
    return _tags(db, "task", projects, include_system)


def get_model_tags(db: sqlite3.Connection, projects: list[str] | None = None, include_system: bool = False) -> Json:
    return _tags(db, "model", projects, include_system)


def get_project_tags(db: sqlite3.Connection, projects: list[str] | None = None, include_system: bool = False) -> Json:
    return _tags(db, "project", projects, include_system)


def _tags(db: sqlite3.Connection, table: str, projects: list[str] | None, include_system: bool) -> Json:
    clause, values = "1", []
    if projects:
        values = with_descendants(db, projects)
        key = "id" if table == "project" else "doc ->> '$.project'"
        clause = f"{table}.{key} IN ({', '.join('?' * len(values))})"
    answers = {}
    for field in ("tags", "system_tags") if include_system else ("tags",):
        sql = f"SELECT DISTINCT item.value FROM {table}, json_each({table}.doc, '$.{field}') item WHERE {clause} ORDER BY 1"
        answers[field] = [tag for (tag,) in db.execute(sql, values)]
    return answers
