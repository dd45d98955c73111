"""Collections of JSON documents: projects, tasks, models, queues, workers."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .answers import decode, encode
from .errors import InvalidRequestError, UnknownFieldError, UnknownIDError
from .fields import check
from .query import Where, holds, order_by, where

Json = dict[str, Any]

USER = {"id": "local", "name": "local"}
COMPANY = {"id": "local", "name": "local"}
SHORTEST_NAME = 3
INVALID_FIELD = 800  # ClearML's subcode for a document that breaks its own rules
ANY_PAGE = 500


def now() -> str:
    """The present time as stored in documents: ISO 8601 in UTC with microseconds, so that texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_id() -> str:
    return uuid.uuid4().hex


def check_name(noun: str, name: str) -> str:
    """The name without surrounding spaces, if ClearML accepts it.

    Raises:
        InvalidRequestError: it is shorter than three characters.
    """
    name = name.strip()
    if len(name) < SHORTEST_NAME:
        raise InvalidRequestError(
            f"Validation error: {noun} name '{name}' is too short (at least {SHORTEST_NAME} characters)", subcode=INVALID_FIELD
        )
    return name


_ASKED: dict[str, Any] = {
    **dict.fromkeys(("page", "page_size", "size", "max_task_entries"), int),
    **dict.fromkeys(("only_fields", "order_by", "id"), list[str]),
    **dict.fromkeys(("name", "search_text", "scroll_id"), str),
    **dict.fromkeys(("_all_", "_any_"), dict[str, Any]),
}


@dataclass(frozen=True)
class Collection:
    """A type of document with an `id`; `missing` is ClearML's subcode for an unknown ID."""

    name: str
    missing: int

    def get(self, db: sqlite3.Connection, identity: str) -> Json:
        """Raises UnknownIDError if there is none."""
        row = db.execute(f"SELECT doc FROM {self.name} WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise UnknownIDError(f"Invalid {self.name} id: id={identity}", subcode=self.missing)
        document: Json = decode(row[0])
        return document

    def require(self, db: sqlite3.Connection, ids: Iterable[str], *, subcode: int | None = None) -> None:
        """Raises UnknownIDError, with `subcode` where ClearML has one of its own, for the first of `ids` that does not exist."""
        for identity in ids:
            if db.execute(f"SELECT 1 FROM {self.name} WHERE id = ?", (identity,)).fetchone() is None:
                raise UnknownIDError(f"Invalid {self.name} id: id={identity}", subcode=subcode or self.missing)

    def insert(self, db: sqlite3.Connection, document: Mapping[str, Any]) -> str:
        """Add a document, under a new ID unless it has one."""
        identity: str = document.get("id") or new_id()
        db.execute(f"INSERT INTO {self.name} (id, doc) VALUES (?, ?)", (identity, encode({"id": identity, **document}).decode()))
        return identity

    def save(self, db: sqlite3.Connection, document: Mapping[str, Any]) -> None:
        db.execute(f"UPDATE {self.name} SET doc = ? WHERE id = ?", (encode(document).decode(), document["id"]))

    def delete(self, db: sqlite3.Connection, identity: str) -> None:
        db.execute(f"DELETE FROM {self.name} WHERE id = ?", (identity,))

    def select(self, db: sqlite3.Connection, condition: str, *values: Any) -> list[Json]:
        """The documents that satisfy an SQL condition, which must come from this package."""
        return [decode(doc) for (doc,) in db.execute(f"SELECT doc FROM {self.name} WHERE {condition}", values)]

    def find(self, db: sqlite3.Connection, asked: Mapping[str, Any], *extra: Where, default_order: Sequence[str] = ()) -> list[Json]:
        """The result of a `get_all` request: filtered, ordered, one page.

        With `only_fields`, documents have only their ID and the top-level fields that contain the requested ones; `pick` does the rest.

        Raises:
            InvalidRequestError: a pattern, field name or page is invalid.
        """
        check(f"{self.name}s.get_all", asked, _ASKED)
        for field in asked.get("only_fields") or []:
            if not holds(self.name, field):
                raise UnknownFieldError(f"Invalid field name: only_fields '{field}'")
        conditions = [*where(self.name, asked), *extra]
        clause = " AND ".join(condition.sql for condition in conditions) or "1"
        values = [value for condition in conditions for value in condition.values]
        order, order_values = order_by(self.name, asked.get("order_by") or default_order)
        offset, limit = page(asked)
        found = f"FROM {self.name} WHERE {clause} ORDER BY {order} LIMIT ? OFFSET ?"
        given = (*values, *order_values, limit, offset)
        if not asked.get("only_fields"):
            return [decode(doc) for (doc,) in db.execute(f"SELECT doc {found}", given)]
        fields = sorted({field.split(".")[0] for field in asked["only_fields"]} - {"id"})
        fields = [field for field in fields if field.isidentifier()]
        parts = db.execute(f"SELECT id{', doc -> ?' * len(fields)} {found}", (*(f"$.{field}" for field in fields), *given))
        return [
            {"id": identity} | {field: decode(part) for field, part in zip(fields, texts, strict=True) if part is not None}
            for identity, *texts in parts
        ]


def page(asked: Mapping[str, Any]) -> tuple[int, int]:
    """The offset and limit given by `page` and `page_size`, or by `scroll_id` and `size`; a limit of -1 is none."""
    if asked.get("scroll_id") is not None or asked.get("size") is not None:
        size = max(1, int(asked.get("size") or ANY_PAGE))
        start = str(asked.get("scroll_id") or "0")
        if not start.isdecimal():
            raise InvalidRequestError(f"Invalid scroll id: {start}")
        return int(start), size
    if asked.get("page") is None and asked.get("page_size") is None:
        return 0, -1
    number, size = int(asked.get("page", 0)), int(asked.get("page_size", ANY_PAGE))
    if number < 0 or size < 1:
        raise InvalidRequestError("Validation error: page must be at least 0, page_size at least 1")
    return number * size, size


def scroll(asked: Mapping[str, Any], found: Sequence[Any]) -> Json:
    """The `scroll_id` for the next page of a scrolled request."""
    if asked.get("scroll_id") is None and asked.get("size") is None:
        return {}
    return {"scroll_id": str(page(asked)[0] + len(found))}


def pick(document: Json, fields: Sequence[str] | None) -> Json:
    """The parts of a document selected by dotted `fields`, always with its ID. Keys may themselves contain dots."""
    if not fields:
        return document
    picked: Json = {"id": document["id"]}
    for field in fields:
        _pick(document, field, picked)
    return picked


def expanded(db: sqlite3.Connection, document: Json, fields: Sequence[str] | None) -> Json:
    """A document as `get_all_ex` returns it: a reference with requested parts (`project.name`) becomes an object with these parts."""
    shown = dict(document)
    for name in {field.partition(".")[0] for field in fields or [] if "." in field} & {*_REFERENCES, "user"}:
        identity = document.get(name)
        if name == "user":
            shown[name] = USER
        elif isinstance(identity, str) and (found := _REFERENCES[name].select(db, "id = ?", identity)):
            shown[name] = found[0]
    picked = pick(shown, fields)
    for name, part in picked.items():
        if isinstance(part, dict) and name in {*_REFERENCES, "user"}:
            picked[name] = {"id": shown[name]["id"]} | part
    return picked


def _pick(source: Any, field: str, target: Json) -> None:
    if not isinstance(source, dict):
        return
    if field in source:
        target[field] = source[field]
        return
    head = max((key for key in source if field.startswith(key + ".")), key=len, default=None)
    if head is not None and isinstance(source[head], dict):
        inner = target.setdefault(head, {})
        if inner is not source[head]:
            _pick(source[head], field[len(head) + 1 :], inner)


PROJECTS = Collection("project", 401)
TASKS = Collection("task", 101)
MODELS = Collection("model", 201)
QUEUES = Collection("queue", 701)
WORKERS = Collection("worker", 1001)

_REFERENCES = {"project": PROJECTS, "parent": TASKS, "task": TASKS}
