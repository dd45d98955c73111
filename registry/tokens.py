"""The arguments of each run, as `key=value` tokens: a sweep expanded, smoke steps read, a run taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.params import RESERVED, expand
from harness.settings import nearest
from harness.workload import Declaration

from .backends import Server, hyperparameters
from .errors import UsageError
from .lookup import find_task
from .run import split
from .workload import settings_of

Tokens = list[str]


def keys_of(tokens: Sequence[str]) -> list[str]:
    return [split(token)[0] for token in tokens]


def given(arguments: Sequence[str], dataset: str | None, workload: Declaration) -> Tokens:
    """What was typed, `--dataset` as the argument that it stands for."""
    if dataset is None:
        return list(arguments)
    if not workload.datasets:
        raise UsageError(f"--dataset {dataset}: {workload.name} takes no dataset")
    return [f"{next(iter(workload.datasets))}={dataset}", *arguments]


def sweep(tokens: Sequence[str]) -> list[tuple[Tokens, str]]:
    """The tokens of each run of a sweep, and what tells it from the others: `train.lr=1e-3`."""
    runs = expand(list(tokens))
    swept = [position for position in range(len(tokens)) if len({run[position] for run in runs}) > 1]
    return [(run, " ".join(run[position] for position in swept)) for run in runs]


def smoke(workload: Declaration, extra: Sequence[str]) -> list[tuple[Tokens, str]]:
    """The tokens of each smoke step. An extra argument goes to the steps whose command knows its key.

    Raises:
        UsageError: the workload has no smoke steps, or an extra argument suits none of them.
    """
    if not workload.smoke:
        raise UsageError(f"{workload.name} declares no smoke steps")
    known = [known_keys(workload, step["command"]) for step in workload.smoke]
    every = {key for keys in known for key in keys}
    unknown = [key for key in keys_of(extra) if key not in every]
    if unknown:
        raise UsageError(*(f"{key}: no smoke step of {workload.name} knows this key{nearest(key, every)}" for key in unknown))
    return [
        (changed([f"{key}={text(value)}" for key, value in step.items()], [token for token in extra if split(token)[0] in keys]), "")
        for step, keys in zip(workload.smoke, known, strict=True)
    ]


def known_keys(workload: Declaration, command: str) -> set[str]:
    settings = {setting.key for setting in settings_of(workload.commands[command])}
    return settings | (set(RESERVED) - {"command"}) | set(workload.datasets)


def text(value: Any) -> str:
    """A value of workload.yaml in the grammar of arguments."""
    return {None: "null", True: "True", False: "False"}.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def changed(tokens: Sequence[str], overrides: Sequence[str]) -> Tokens:
    """`tokens` with `overrides` in place of those of the same key."""
    replaced = set(keys_of(overrides))
    return [token for token in tokens if split(token)[0] not in replaced] + list(overrides)


def resumed(server: Server, reference: str, workload: Declaration, overrides: Sequence[str]) -> Tokens:
    """The arguments of an earlier task with `overrides`, continued from its last checkpoint.

    Raises:
        UsageError: there is no such task, or it ran another workload.
    """
    task = find_task(server, reference)
    script = (task.get("script") or {}).get("entry_point") or ""
    if script != workload.script:
        raise UsageError(f"--resume {reference}: that task ran {script or 'no script'}, not {workload.script}")
    tokens = [f"{key}={value}" for key, value in hyperparameters(task, "Args").items()]
    return changed(tokens, [*overrides, f"resume={task['id']}"])


def replaced(tokens: Sequence[str], values: Mapping[str, str]) -> Tokens:
    """`tokens` with other values for some keys, in place."""
    return [f"{key}={values[key]}" if (key := split(token)[0]) in values else token for token in tokens]
