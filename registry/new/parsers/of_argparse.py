"""argparse: its actions."""

# ruff: noqa: SLF001  argparse tells what a parser knows by private names alone

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
from typing import Any

from .found import Found, Options, UnreadableError, tell
from .values import cast, default_of, in_a_line, truth, type_of


def intercept_argparse() -> None:
    """End the script at its first parse; where the function goes on to parse what this one leaves over, at the one after."""
    seen: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        seen.append(self)
        if not parses_again(calling_frame()):
            commands = commands_of(self)
            earlier = [option for parser in seen[:-1] for option in options_of(parser, 0)]
            for command in commands:
                known = {option["name"] for option in command["options"]}
                command["options"] = [*(option for option in earlier if option["name"] not in known), *command["options"]]
            tell("argparse", commands)
        return argparse.Namespace(**{action.dest: action.default for action in self._actions}), []

    setattr(argparse.ArgumentParser, "_parse_known_args", stop)  # noqa: B010  a method, which has another type


def calling_frame() -> Any:
    """The frame that asks for the parse."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(("argparse", "registry.new.parsers")):
        frame = frame.f_back
    return frame


def parses_again(frame: Any) -> bool:
    """Whether the function that parses has another call of a parser further down."""
    try:
        lines, first = inspect.getsourcelines(frame.f_code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError):
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args]
    later = [node for node in calls if node.lineno + max(first, 1) - 1 > frame.f_lineno]
    return any(isinstance(node.func, ast.Attribute) and node.func.attr in {"parse_args", "parse_known_args"} for node in later)


def commands_of(parser: argparse.ArgumentParser) -> list[Found]:
    """Each subcommand with its options and those before it; without subcommands, the parser itself."""
    own = options_of(parser, 0)
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        return [{"words": [], "help": parser.description or "", "options": own}]
    seen: list[int] = []
    found = []
    for name, sub in inner[0].choices.items():
        if id(sub) in seen:
            continue  # another name of the same
        seen.append(id(sub))
        if any(isinstance(action, argparse._SubParsersAction) for action in sub._actions):
            raise UnreadableError(f"the subcommand {name} has subcommands itself, which cannot be declared")
        found.append({"words": [name], "help": sub.description or "", "options": [*own, *options_of(sub, 1)]})
    return found


def options_of(parser: argparse.ArgumentParser, level: int) -> Options:
    switches: dict[str, dict[str, Any]] = {}
    found: Options = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._VersionAction | argparse._SubParsersAction):
            continue
        option = {**option_of(action), "name": action.dest, "level": level, "help": meaning(action, parser)}
        if option["form"] == "switch" and action.dest in switches:  # --x and --no-x for one thing
            switches[action.dest].update({key: value for key, value in option.items() if key in {"flag", "negation"} and value})
            continue
        if option["form"] == "switch":
            switches[action.dest] = option
        found.append(option)
    return found


def option_of(action: argparse.Action) -> dict[str, Any]:
    """Form, type, flags and default of one action."""
    flags = sorted(action.option_strings, key=lambda flag: (not flag.startswith("--"), -len(flag)))
    flag = flags[0] if flags else ""
    kind = type(action).__name__
    if kind == "BooleanOptionalAction":
        off = next(flag for flag in action.option_strings if flag.startswith("--no-"))
        on = next(flag for flag in flags if not flag.startswith("--no-"))
        return {"form": "switch", "type": "bool", "flag": on, "negation": off, "default": truth(action.default)}
    if isinstance(action, argparse._StoreConstAction | argparse._AppendConstAction):
        return {"form": "switch", "type": "bool", "default": truth(action.default), "negation" if action.const is False else "flag": flag}
    if isinstance(action, argparse._CountAction):
        return {"form": "count", "type": "int", "flag": flag, "default": action.default or 0}
    kind, false = type_of(action.type, action.default)
    many = isinstance(action, argparse._AppendAction) or (action.nargs is not None and action.nargs != "?")
    form = "append" if isinstance(action, argparse._AppendAction) else "words" if many else "value"
    found = {"form": form if flag else "place", "type": kind, "flag": flag, "many": many, "false_word": false}
    found["required"] = bool(action.required) and action.nargs not in {"?", "*"}
    found["default"] = None if action.default is argparse.SUPPRESS else default_of(action.default, kind, many)
    if action.choices is not None:
        found["choices"] = [cast(choice, kind) for choice in action.choices]
    return found


def meaning(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """An action's help, with what its formatter would put in it."""
    if not action.help or action.help is argparse.SUPPRESS:
        return ""
    try:
        return in_a_line(parser._get_formatter()._expand_help(action))
    except (ValueError, KeyError, TypeError):
        return in_a_line(action.help)
