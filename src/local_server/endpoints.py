"""Endpoints: plain functions whose signatures are their schemas. table.py lists all of them.

A function takes the database, and the request's fields as keyword arguments, and returns the `data` of the response. Fields that are not
parameters are ignored, as newer clients may send them; a function with `**asked` gets them all. A parameter `caller` gets the sender.
"""

from __future__ import annotations

import inspect
import sqlite3
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from .bodies import FIELDS, Body
from .callers import NOBODY, Caller
from .errors import InvalidRequestError, MovedEndpointError, UnknownEndpointError
from .fields import ITEM, check

Answer = dict[str, Any]
Handler = Callable[..., Answer]

CALLER = "caller"
"""The parameter of functions that is not a field of the request."""


@dataclass(frozen=True)
class Endpoint:
    """One row of the table."""

    name: str
    handler: Handler
    writes: bool
    """Whether it changes the database. If so, it runs in one transaction, and the page's cookie allows it only to the page itself.
    Otherwise it runs on a consistent view of the database."""
    takes: Body = FIELDS
    keyless: bool = False
    """Whether it can be called without a key, a token or the page's cookie."""
    until: str = ""
    """The last version of the API that has this endpoint."""

    def call(self, db: sqlite3.Connection, body: Any, caller: Caller = NOBODY) -> Answer:
        """Check the fields of a request and run it.

        Raises:
            InvalidRequestError: a field is missing or has a wrong type.
        """
        arguments = {"requests": body} if self.takes.lines else self._arguments(body, caller)
        return self.handler(db, **arguments)

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What the function takes beside the database, by the names of the request's fields.

        A parameter whose field has the name of one of Python's builtins ends in an underscore, as PEP 8 has it: `type_` takes `type`.
        """
        parameters = list(inspect.signature(self.handler).parameters.values())[1:]
        return {parameter.name.removesuffix("_"): parameter for parameter in parameters}

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = typing.get_type_hints(self.handler)
        return {field: hints[parameter.name] for field, parameter in self.parameters.items()}

    def _arguments(self, body: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self.parameters.values())
        others = {field: value for field, value in body.items() if value is not None} if takes_all else {}
        arguments = {}
        for field, parameter in self.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            others.pop(field, None)
            value = caller if field == CALLER else body.get(field)
            if value is not None:
                arguments[parameter.name] = value if field == CALLER else self._checked(field, value)
            elif parameter.default is inspect.Parameter.empty:
                raise InvalidRequestError(f"Validation error: required field '{field}' is missing in {self.name}")
        return others | arguments

    def _checked(self, field: str, value: Any) -> Any:
        """A field's value, if it and the objects in it are of the right types."""
        check(self.name, {field: value}, self._hints)
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict):
                check(f"{self.name}: {field}", {key: part for key, part in item.items() if part is not None}, ITEM)
        return value


reads = partial(Endpoint, writes=False)
writes = partial(Endpoint, writes=True)


class Table:
    """The endpoints by name.

    Raises:
        ValueError: a name is entered twice.
    """

    def __init__(self, *rows: Endpoint) -> None:
        twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
        if twice:
            raise ValueError(f"endpoints entered twice: {', '.join(sorted(twice))}")
        self._rows = {row.name: row for row in sorted(rows, key=lambda row: row.name)}

    def __iter__(self) -> Iterator[Endpoint]:
        """All of them, by name."""
        return iter(self._rows.values())

    def is_keyless(self, name: str) -> bool:
        """Whether it can be called without a key. An unknown endpoint cannot."""
        return name in self._rows and self._rows[name].keyless

    def find(self, name: str, version: str = "") -> Endpoint:
        """An endpoint of a version of the API.

        Raises:
            UnknownEndpointError: this server does not have it.
            MovedEndpointError: only earlier versions have it.
        """
        try:
            found = self._rows[name]
        except KeyError:
            raise UnknownEndpointError(f"Invalid endpoint: {name} is not part of this embedded server") from None
        if found.until and version and _numbers(version) > _numbers(found.until):
            raise MovedEndpointError(f"{name} is part of the API up to version {found.until}")
        return found


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]
