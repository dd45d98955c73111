"""The filters of ClearML's `get_all` requests, as SQL conditions on JSON documents.

Tags and other lists follow the SDK's grammar (Task.get_tasks): `["a", "b"]` matches any of them, `-a` or `__$not, a` excludes one,
a leading `__$all` requires all of them, and `__$or` and `__$and` start a group of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import patterns
from .errors import InvalidRequestError, UnknownFieldError
from .fields import conforms

# The fields of documents: only these filter. Others control the response, or are the SDK's own (`method`).
_COMMON = {"id", "name", "user", "company", "created", "last_update", "last_change", "tags", "system_tags", "comment", "project", "parent"}
_HELD = {
    "task": {
        *_COMMON,
        *("type", "status", "status_changed", "status_reason", "status_message", "started", "completed", "published", "active_duration"),
        *("output", "execution", "container", "models", "script", "hyperparams", "configuration", "runtime", "input", "report"),
        *("last_worker", "last_worker_report", "last_iteration", "last_metrics"),
    },
    "model": {
        *_COMMON,
        *("ready", "task", "framework", "uri", "design", "labels", "metadata", "stats", "ui_cache", "last_iteration", "last_metrics"),
    },
    "project": {*_COMMON, "basename", "description", "default_output_destination"},
    "queue": {*_COMMON, "entries", "metadata", "workers"},
}
# Those among them that may be given as a single value.
_SINGLE = {"parent", "ready", "project", "user", "status", "type", "task", "framework", "uri"}
_PATTERNS = {"name", "description", "basename"}
_STEERING = {"only_fields", "order_by"}
_TAGS = {"tags", "system_tags"}
_EXCLUDABLE = _TAGS | {"status"}
_TIMES = {"status_changed", "created", "started", "completed", "last_update", "last_change", "published", "added"}
_TEXT_FIELDS = ("id", "name", "comment")
_LONGEST_TIME = 100
_SEVERAL = {"_all_": " AND ", "_any_": " OR ", "_or_": " OR "}
_SERIES_COLUMNS = {"value": "value", "min_value": "min_value", "max_value": "max_value"}


@dataclass(frozen=True)
class Where:
    """An SQL condition and the values of its question marks."""

    sql: str
    values: tuple[Any, ...] = ()


def where(table: str, asked: Mapping[str, Any]) -> Iterator[Where]:
    """The conditions of a `get_all` request.

    Raises:
        InvalidRequestError: a pattern, a time or a value is invalid, or a field cannot be searched.
    """
    for field, value in asked.items():
        if field in _STEERING or value is None or value == []:
            continue
        if field in _SEVERAL:
            yield _any_field(value, _SEVERAL[field])
        elif field == "search_text":
            yield _text(table, str(value))
        elif holds(table, field):
            yield from _of_field(table, field, value)
    if not (asked.get("search_hidden") or asked.get("id")) and table in ("project", "task"):
        yield Where("NOT EXISTS (SELECT 1 FROM json_each(doc, '$.system_tags') WHERE value = 'hidden')")


def _of_field(table: str, field: str, value: Any) -> Iterator[Where]:
    """The conditions on one field: a pattern, a range of times, a list of values, or one value."""
    if any(isinstance(each, dict | list) for each in _as_list(value)):
        raise InvalidRequestError(f"Validation error: field '{field}' must be a value or a list of values")
    if field in _PATTERNS and isinstance(value, str):
        yield _matching(_path(field), value)
    elif field == "created" and isinstance(value, list) and len(value) != 2:
        raise InvalidRequestError("Validation error: created must be a range of two times")
    elif field in _TIMES and isinstance(value, list):
        yield from (_time(field, str(text)) for text in value)
    elif isinstance(value, list):
        yield _listed(table, field, value)
    elif field in _SINGLE:
        yield _equal(table, field, value)


def holds(table: str, field: str) -> bool:
    """Whether such documents have this field; of a dotted one, the first part counts."""
    return field.split(".", maxsplit=1)[0] in _HELD[table]


def order_by(table: str, fields: Sequence[str]) -> tuple[str, list[Any]]:
    """An ORDER BY list. Documents that lack a field come last, equal ones in order of creation.

    Raises:
        UnknownFieldError: such documents have no field of this name.
    """
    terms: list[str] = []
    values: list[Any] = []
    for field in fields:
        name = field.removeprefix("-")
        if name == "@text_score":
            continue
        if not holds(table, name):
            raise UnknownFieldError(f"Invalid field name: order_by '{name}'")
        sql, given = _expression(table, name)
        terms.append(f"{sql} {'DESC' if field.startswith('-') else 'ASC'} NULLS LAST")
        values += given
    return ", ".join([*terms, "rowid"]), values


def _path(field: str) -> str:
    """`doc ->> path` for a dotted field. The name of a hyper-parameter may itself contain dots."""
    parts = field.split(".")
    if parts[0] in ("hyperparams", "configuration") and len(parts) > 3:
        depth = 2 if parts[0] == "hyperparams" else 1
        parts = [*parts[:depth], ".".join(parts[depth:-1]), parts[-1]]
    if not all(re.fullmatch(r"[^\"'\\]+", part) for part in parts):
        raise InvalidRequestError(f"Validation error: field '{field}' cannot be searched")
    return "doc ->> '$" + "".join(f'."{part}"' if not part.isidentifier() else f".{part}" for part in parts) + "'"


def _expression(table: str, field: str) -> tuple[str, list[Any]]:
    """The SQL expression of a field; the last, least or greatest value of a metric comes from its series."""
    parts = field.split(".")
    if table == "task" and parts[0] == "last_metrics" and len(parts) == 4:
        column = _SERIES_COLUMNS.get(parts[3])
        if column is None:
            raise InvalidRequestError(f"Validation error: cannot order by '{field}'; use {', '.join(sorted(_SERIES_COLUMNS))}")
        return f"(SELECT {column} FROM series WHERE owner = task.id AND metric_hash = ? AND variant_hash = ?)", parts[1:3]
    return ("id" if field == "id" else _path(field)), []


def _matching(sql: str, pattern: str) -> Where:
    patterns.check(pattern)
    return Where(f"matches(?, {sql})", (pattern,))


def _equal(table: str, field: str, value: Any) -> Where:
    sql, given = _expression(table, field)
    return Where(f"{sql} = ?", (*given, int(value) if isinstance(value, bool) else value))


def _any_field(asked: Any, joined: str) -> Where:
    """A pattern, or a time, for several fields."""
    fields = asked.get("fields", []) if isinstance(asked, dict) else None
    if fields is None or not conforms(fields, list[str]):
        raise InvalidRequestError("Validation error: _any_, _or_ and _all_ need fields, a list of names")
    if asked.get("pattern") is not None:
        return _joined([_matching(_path(field), str(asked["pattern"])) for field in fields], joined)
    if asked.get("datetime") is not None:
        return _joined([_time(field, str(text)) for field in fields for text in _as_list(asked["datetime"])], joined)
    raise InvalidRequestError("Validation error: _any_, _or_ and _all_ need a pattern or a datetime", subcode=16)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _joined(terms: Sequence[Where], operator: str) -> Where:
    if not terms:
        return Where("1")
    return Where("(" + operator.join(term.sql for term in terms) + ")", tuple(value for term in terms for value in term.values))


def _text(table: str, text: str) -> Where:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    fields = [*_TEXT_FIELDS, *(["tags", "system_tags", "models", "hyperparams", "execution"] if table == "task" else [])]
    return _joined([Where(f"{_path(field)} LIKE ? ESCAPE '\\'", (f"%{escaped}%",)) for field in fields], " OR ")


def _time(field: str, text: str) -> Where:
    match = re.fullmatch(r"(>=|<=|>|<)?\s*(.+)", text.strip()) if len(text) <= _LONGEST_TIME else None
    if match is None:
        raise InvalidRequestError(f"Validation error: '{text[:_LONGEST_TIME]}' is not a time")
    return Where(f"{_path(field)} {match[1] or '='} ?", (_moment(match[2]),))


def _moment(text: str) -> str:
    """A time as stored in documents, from ISO 8601 (UTC by default) or seconds since the epoch."""
    try:
        moment = datetime.fromtimestamp(float(text), UTC) if re.fullmatch(r"[\d.]+", text) else datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(f"Validation error: '{text}' is not a time (ISO 8601, or seconds since the epoch)") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _listed(table: str, field: str, values: Iterable[Any]) -> Where:
    """A list in the SDK's grammar of tags."""
    groups: list[tuple[str, list[tuple[Any, bool]]]] = [("any", [])]
    together, negated = " OR ", False
    for index, value in enumerate(values):
        if value in ("__$all", "__$and", "__$or"):
            if index == 0 and value != "__$or":
                together = " AND "
            groups.append(("or" if value == "__$or" else "and", []))
        elif value == "__$not":
            negated = True
        else:
            excluded = isinstance(value, str) and value.startswith("-") and field in _EXCLUDABLE
            groups[-1][1].append((value[1:] if excluded else value, excluded or negated))
            negated = False
    terms = [_group(table, field, operator, members) for operator, members in groups if members]
    return _joined(terms, together)


def _group(table: str, field: str, operator: str, members: Sequence[tuple[Any, bool]]) -> Where:
    """`or` and `and` join all members; `any`, the group without an operator, requires one wanted and no excluded value."""
    if operator != "any":
        return _joined([_member(table, field, *member) for member in members], f" {operator.upper()} ")
    wanted = [value for value, excluded in members if not excluded]
    terms = [_has(table, field, wanted)] if wanted else []
    return _joined([*terms, *(_member(table, field, value, True) for value, excluded in members if excluded)], " AND ")


def _member(table: str, field: str, value: Any, excluded: bool) -> Where:
    term = _has(table, field, [value])
    return Where(f"NOT {term.sql}", term.values) if excluded else term


def _has(table: str, field: str, values: Sequence[Any]) -> Where:
    """Whether the field, or an element of it if it is a list, is one of the values. Null matches an unset field, or an empty list."""
    present = [value for value in values if value is not None]
    marks = ", ".join("?" * len(present))
    if field in _TAGS:
        terms = [Where(f"EXISTS (SELECT 1 FROM json_each(doc, '$.{field}') WHERE value IN ({marks}))", tuple(present))]
        unset = Where(f"ifnull(json_array_length(doc, '$.{field}'), 0) = 0")
    else:
        sql, given = _expression(table, field)
        terms = [Where(f"ifnull({sql} IN ({marks}), 0)", (*given, *present))]
        unset = Where(f"{sql} IS NULL", tuple(given))
    return _joined(terms + [unset] * (None in values), " OR ")
