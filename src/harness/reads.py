"""Which settings a run reads: noted where HARNESS_READS names a folder, for the check that no setting is dead. Other runs pay nothing.

A setting counts as read when code takes its value by name, in a rank or in any process that a rank starts. Code that handles all
settings alike does not read them: `dataclasses.asdict` and `replace`, `vars`, copies, pickles, comparisons, hashes, `repr`. Nor does
code that only shows a value to people (`print`, a logger, a report, the text of an error), or only checks it (a method `problems`).
What the code does with a value that it kept in a variable of its own cannot be seen, and counts as reading.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from .files import write_json
from .settings import flat

FOLDER = "HARNESS_READS"
"""The environment variable that names the folder in which runs note what they read."""
SETTINGS, NOTES = "settings.json", "read"
"""In a run's own folder there: the values of its settings, and a folder with an empty file for each key that was read."""
HANDLERS = frozenset({"copy", "dataclasses", "omegaconf", "pprint", "rich"})
"""Modules that take every attribute of an object."""
CHECKS = frozenset({"problems", "__post_init__"})
"""Methods of settings that say what is wrong with them."""
LOGGING = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
SHOWING = {
    "report": frozenset({"artifact", "image", "plot", "point", "scalar", "text"}),
    "warnings": frozenset({"warn"}),
    **dict.fromkeys(("log", "logger", "logging"), LOGGING),
}
"""Methods that show their arguments to people, by the name of what has them."""
FORMATTERS = frozenset({"format", "join", "len", "map", "repr", "round", "sorted", "str"})


@dataclass(frozen=True)
class Reads:
    """What one run had for settings, and which of them it read."""

    settings: dict[str, Any]
    keys: frozenset[str]


def noted(settings: Any, folder: Path) -> Any:
    """The same settings as instances of subclasses that note in `folder` each key that is read."""
    (folder / NOTES).mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, flat(settings))
    return noting(settings, "", folder / NOTES)


def noting(settings: Any, prefix: str, notes: Path) -> Any:
    kind: Any = type(settings)
    return filled(noting_class(kind, prefix, notes), settings, lambda name, value: noting(value, f"{prefix}{name}.", notes))


def plain(settings: Any) -> Any:
    """The same settings as instances of the classes that they were written as."""
    if "__getattribute__" not in vars(type(settings)):
        return settings
    return filled(type(settings).__mro__[1], settings, lambda _, value: plain(value))


def filled(kind: type, settings: Any, group: Callable[[str, Any], Any]) -> Any:
    """An instance of `kind` with the values of `settings`; what is a group of settings itself is made by `group`."""
    twin: Any = object.__new__(kind)
    for name, value in vars(settings).items():
        object.__setattr__(twin, name, group(name, value) if is_dataclass(value) else value)
    return twin


@cache
def noting_class(kind: type, prefix: str, notes: Path) -> type:
    """A subclass of a settings class that makes an empty file for each field, its groups excepted, when it is first read.

    An empty file is there or not, whoever else makes it: so neither ranks nor loader processes need a lock, nor have to end well.
    """
    leaves = {field.name for field in fields(kind)}
    seen: set[str] = set()

    def read(self: Any, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name in leaves and name not in seen and not is_dataclass(value) and is_reading(sys._getframe(1)):  # noqa: SLF001  the caller is what is asked for
            (notes / f"{prefix}{name}").touch()
            seen.add(name)
        return value

    methods = {
        "__getattribute__": read,
        "__repr__": lambda self: repr(plain(self)),
        "__eq__": lambda self, other: plain(self) == (plain(other) if type(other) is type(self) else other),
        "__hash__": None if vars(kind).get("__hash__", object) is None else lambda self: hash(plain(self)),
        "__reduce_ex__": lambda self, _protocol: (noting, (plain(self), prefix, notes)),
    }
    return type(kind.__name__, (kind,), {**methods, "__module__": kind.__module__, "__qualname__": kind.__qualname__})


def is_reading(frame: FrameType) -> bool:
    """Whether what a frame does with an attribute may matter to what its run does."""
    module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if module in HANDLERS or CHECKS & {*frame.f_code.co_qualname.split(".")}:
        return False
    return not is_shown(frame.f_code, frame.f_lasti)


@cache
def is_shown(code: CodeType, instruction: int) -> bool:
    """Whether the value that an instruction takes is an argument of what shows it to people, itself or in a text made there."""
    line, end_line, column, end_column = list(code.co_positions())[instruction // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return False
    inside = [
        node
        for node in ast.walk(parsed(code.co_filename))
        if isinstance(node, ast.Call | ast.Raise)
        and (node.lineno, node.col_offset) <= (line, column)
        and (end_line, end_column) <= (node.end_lineno or 0, node.end_col_offset or 0)
    ]
    if any(isinstance(node, ast.Raise) for node in inside):
        return True
    calls = [node.func for node in inside if isinstance(node, ast.Call)]  # the outermost first: `ast.walk` goes down by levels
    inner = next((call for call in reversed(calls) if name_of(call) not in FORMATTERS), None)
    return inner is not None and shows(inner)


def shows(function: ast.expr) -> bool:
    """Whether a function's name is that of one which shows its arguments to people."""
    if isinstance(function, ast.Name):
        return function.id in {"print", "say"}
    owner = name_of(function.value) if isinstance(function, ast.Attribute) else ""
    return name_of(function) in SHOWING.get(owner, ())


def name_of(expression: ast.expr) -> str:
    """The last part of a dotted name."""
    return expression.attr if isinstance(expression, ast.Attribute) else expression.id if isinstance(expression, ast.Name) else ""


@cache
def parsed(file: str) -> ast.Module:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError):  # code without a file, such as what `dataclass` writes
        return ast.Module([], [])
