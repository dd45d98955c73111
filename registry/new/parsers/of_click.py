"""click: its commands and their parameters."""

from __future__ import annotations

from typing import Any

from .found import Options, UnreadableError, tell
from .values import PLAIN, default_of, in_a_line, truth


def intercept_click() -> None:
    """End the script where a click command would read its arguments, where click is installed."""
    try:
        import click
    except ImportError:
        return

    def stop(self: Any, *_: Any, **__: Any) -> Any:
        if isinstance(self, click.Group):
            context = click.Context(self)
            above = click_options(self, 0)
            commands = []
            for name in self.list_commands(context):
                command = self.get_command(context, name)
                if isinstance(command, click.Group):
                    raise UnreadableError(f"the subcommand {name} has subcommands itself, which cannot be declared")
                if command is not None:
                    commands.append({"words": [name], "help": command.help or "", "options": [*above, *click_options(command, 1)]})
            tell("click", commands)
        tell("click", [{"words": [], "help": self.help or "", "options": click_options(self, 0)}])

    owner = next(kind for kind in click.Command.__mro__ if "make_context" in vars(kind))
    setattr(owner, "make_context", stop)  # noqa: B010  a method, which has another type


def click_options(command: Any, level: int) -> Options:
    import click

    eager = [parameter for parameter in command.params if isinstance(parameter, click.Option) and parameter.is_eager]  # --help, --version
    return [
        {**click_option(parameter), "name": parameter.name, "level": level, "help": in_a_line(getattr(parameter, "help", ""))}
        for parameter in command.params
        if parameter not in eager
    ]


def click_option(parameter: Any) -> dict[str, Any]:
    import click

    flags = sorted(parameter.opts, key=lambda flag: (not flag.startswith("--"), -len(flag)))
    place = isinstance(parameter, click.Argument)
    default = parameter.default if isinstance(parameter.default, (*PLAIN, list, tuple)) else None
    if getattr(parameter, "count", False):
        return {"form": "count", "type": "int", "flag": flags[0], "default": default or 0}
    if getattr(parameter, "is_flag", False):
        on_off = {"flag": flags[0], "negation": parameter.secondary_opts[0] if parameter.secondary_opts else ""}
        return {"form": "switch", "type": "bool", "default": truth(default), **on_off}
    names = {"integer": "int", "integer range": "int", "float": "float", "float range": "float", "boolean": "bool"}
    kind = names.get(parameter.type.name, "str")
    many = bool(getattr(parameter, "multiple", False)) or parameter.nargs != 1
    form = "place" if place else "append" if getattr(parameter, "multiple", False) else "words" if many else "value"
    found = {"form": form, "type": kind, "flag": "" if place else flags[0], "many": many, "required": bool(parameter.required)}
    found["default"] = default_of(default, kind, many)
    if isinstance(parameter.type, click.Choice):
        found["choices"] = [getattr(choice, "name", str(choice)) for choice in parameter.type.choices]
    return found
