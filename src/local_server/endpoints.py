"""The table of end points: each is a plain function whose signature is its schema.

A handler takes the database and its request's fields as keyword arguments, and returns the `data` of the answer. The dispatcher runs it
as one change of the database (`writes=True`) or on a consistent view of it. Fields that a handler does not name are ignored, as newer
clients may send them; a handler with `**asked` gets them all. A handler that names a `caller` is told who asks.
"""

from __future__ import annotations

import inspect
import sqlite3
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from .callers import NOBODY, Caller
from .errors import AnswerError, InvalidRequestError, MovedEndpointError, UnknownEndpointError

Answer = dict[str, Any]
Handler = Callable[..., Answer]

_TABLE: dict[str, Endpoint] = {}
CALLER = "caller"
"""The parameter of handlers that is no field of the request."""
_LARGEST = 2**63
ITEM = {**dict.fromkeys(("key", "metric", "mode", "model", "name", "section", "task", "type", "variant"), str), "variants": list[str]}
"""What is a text in every list of objects that a request holds: by these they are told apart."""


@dataclass(frozen=True)
class Endpoint:
    """One end point; `batch` ones take a body of JSON lines as `requests`, `until` is the last version of the API that has it."""

    name: str
    handler: Handler
    writes: bool
    batch: bool
    until: str

    def call(self, db: sqlite3.Connection, body: Any, caller: Caller = NOBODY) -> Answer:
        """Check the fields of a request and run it.

        Raises:
            InvalidRequestError: a field is missing or of a wrong type.
        """
        arguments = {"requests": body} if self.batch else self._arguments(body, caller)
        return self.handler(db, **arguments)

    def _arguments(self, body: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        parameters = list(inspect.signature(self.handler).parameters.values())[1:]
        hints = _hints(self.handler)
        rest = parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
        arguments = {key: value for key, value in body.items() if value is not None} if rest else {}
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            if parameter.name == CALLER:
                arguments[CALLER] = caller
                continue
            value = body.get(parameter.name)
            if value is None:
                if parameter.default is inspect.Parameter.empty:
                    raise InvalidRequestError(f"Validation error: required field '{parameter.name}' is missing in {self.name}")
                continue
            check(self.name, {parameter.name: value}, hints)
            for item in value if isinstance(value, list) else ():
                if isinstance(item, dict):
                    check(f"{self.name}: {parameter.name}", {key: part for key, part in item.items() if part is not None}, ITEM)
            arguments[parameter.name] = value
        return arguments


def endpoint(name: str, *, writes: bool = False, batch: bool = False, until: str = "") -> Callable[[Handler], Handler]:
    """Enter a handler into the table."""

    def enter(handler: Handler) -> Handler:
        _TABLE[name] = Endpoint(name, handler, writes, batch, until)
        return handler

    return enter


def lookup(name: str, version: str = "") -> Endpoint:
    """The end point as a version of the API has it.

    Raises:
        UnknownEndpointError: the server does not have it.
        MovedEndpointError: it is gone since an earlier version.
    """
    try:
        found = _TABLE[name]
    except KeyError:
        raise UnknownEndpointError(f"Invalid endpoint: {name} is not part of this embedded server") from None
    if found.until and version and _numbers(version) > _numbers(found.until):
        raise MovedEndpointError(f"{name} is part of the API up to version {found.until}")
    return found


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def endpoints() -> Sequence[Endpoint]:
    """All of them, by name."""
    return [_TABLE[name] for name in sorted(_TABLE)]


def each(db: sqlite3.Connection, ids: Iterable[str], act: Callable[[str], Answer]) -> Answer:
    """Do one thing for each ID; one that is refused does not hold up the others."""
    succeeded: list[Answer] = []
    failed: list[Answer] = []
    for id in ids:
        db.execute("SAVEPOINT one")
        try:
            succeeded.append({"id": id, **act(id)})
        except AnswerError as error:
            db.execute("ROLLBACK TO one")
            failed.append({"id": id, "error": {"codes": [error.status, error.subcode], "msg": str(error), "data": {}}})
        db.execute("RELEASE one")
    return {"succeeded": succeeded, "failed": failed}


def check(name: str, fields: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError for the first field that is not of its type; fields without one are not looked at."""
    for field, value in fields.items():
        if field in types and not conforms(value, types[field]):
            kind = getattr(types[field], "__name__", "") if not typing.get_args(types[field]) else str(types[field])
            raise InvalidRequestError(f"Validation error: field '{field}' of {name} must be of type {kind}")


def conforms(value: Any, hint: Any) -> bool:
    """Is a JSON value of an annotated type? Knows str, int, float, bool, lists, dicts, unions and Any."""
    if hint is Any:
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(conforms(value, option) for option in inner)
    if origin in (list, dict):
        return isinstance(value, origin) and all(conforms(item, inner[-1]) for item in (value.values() if origin is dict else value))
    if hint in (int, float):  # bool is an int to Python, not to JSON
        kind = int | float if hint is float else int
        return isinstance(value, kind) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, hint)


def _hints(handler: Handler) -> dict[str, Any]:
    hints: dict[str, Any] | None = getattr(handler, "_hints", None)
    if hints is None:
        hints = typing.get_type_hints(handler)
        handler._hints = hints  # type: ignore[attr-defined]
    return hints
