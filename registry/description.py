"""Workloads as JSON, for `registry list --json` and `registry show --json`."""

from __future__ import annotations

import math
from typing import Any

from harness.workload import Command, Declaration

from . import workload

MISSING = "???"
"""OmegaConf's mark for a required value."""


def summary_of(found: Declaration) -> dict[str, Any]:
    return {
        "name": found.name,
        "summary": found.summary,
        "image": found.image,
        "queue": found.queue,
        "datasets": dict(found.datasets),
        "commands": list(found.commands),
        "smoke": [dict(step) for step in found.smoke],
    }


def description_of(found: Declaration) -> dict[str, Any]:
    """The summary, and all settings of all commands."""
    metrics = {"main": list(found.metrics.main), "lower": list(found.metrics.lower), "higher": list(found.metrics.higher)}
    from harness.keys import RESERVED  # slow to import, and a list needs none

    keys = [{"key": key, "type": each.type.__name__, "default": each.default, "help": each.help} for key, each in RESERVED.items()]
    commands = [command_of(found, command) for command in found.commands.values()]
    return summary_of(found) | {"metrics": metrics, "configs": workload.configs_of(found), "keys": keys, "commands": commands}


def command_of(found: Declaration, command: Command) -> dict[str, Any]:
    from harness.keys import names_of

    names = names_of(found, command)
    return {
        "name": command.name,
        "type": command.type,
        "launcher": command.launcher,
        "needs": list(command.needs),
        "instead": list(command.instead),
        "settings": [
            {
                "key": each.key,
                "type": each.type,
                "required": each.default == MISSING,
                "default": None if each.default == MISSING else finite(each.default),
                "choices": list(each.choices),
                "form": each.form,
                "limits": dict(each.limits),
                "unit": each.unit,
                "when": each.when,
                "help": each.help,
            }
            for each in workload.settings_of(command)
        ],
        "aliases": {name: alias.key for name, alias in names.aliases.items()},
        "fixed": {name: entry.why for name, entry in names.fixed.items()},
        "refused": dict(names.refused),
    }


def finite(value: Any) -> Any:
    """A value that JSON can represent: it has no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
