"""The arguments of each run as `key=value` tokens: expands sweeps and reads smoke steps."""

from __future__ import annotations

from collections.abc import Sequence

from harness.aliases import Names
from harness.grammar import expand, token
from harness.keys import RESERVED, names_of
from harness.settings import nearest
from harness.workload import Declaration

from ..errors import UsageError
from ..run import split
from ..workload import settings_of

Tokens = list[str]


def keys_of(tokens: Sequence[str]) -> list[str]:
    return [split(given)[0] for given in tokens]


def given(arguments: Sequence[str], dataset: str | None, workload: Declaration) -> Tokens:
    """The arguments that were typed, with `--dataset` as an argument too."""
    if dataset is None:
        return list(arguments)
    if not workload.datasets:
        raise UsageError(f"--dataset {dataset}: {workload.name} uses no dataset")
    return [token(next(iter(workload.datasets)), dataset), *arguments]


def sweep(tokens: Sequence[str]) -> list[tuple[Tokens, str]]:
    """The tokens of each run of a sweep, and those that distinguish it from the others: `train.lr=1e-3`."""
    runs = expand(list(tokens))
    swept = [position for position in range(len(tokens)) if len({run[position] for run in runs}) > 1]
    return [(run, " ".join(run[position] for position in swept)) for run in runs]


def smoke(workload: Declaration, extra: Sequence[str]) -> list[tuple[Tokens, str]]:
    """The tokens of each smoke step. An extra argument is passed to the steps whose command knows its key.

    Raises:
        UsageError: the workload has no smoke steps, or none of them knows an extra argument.
    """
    if not workload.smoke:
        raise UsageError(f"{workload.name} declares no smoke steps")
    names = [names_of(workload, workload.commands[step["command"]]) for step in workload.smoke]
    known = [known_keys(workload, step["command"]) | {*each} for step, each in zip(workload.smoke, names, strict=True)]
    every = {key for keys in known for key in keys}
    unknown = [key for key in keys_of(extra) if key not in every]
    if unknown:
        raise UsageError(*(f"{key}: no smoke step of {workload.name} knows this key{nearest(key, every)}" for key in unknown))
    return [
        (changed([token(key, value) for key, value in step.items()], [given for given in extra if split(given)[0] in keys], each), "")
        for step, keys, each in zip(workload.smoke, known, names, strict=True)
    ]


def known_keys(workload: Declaration, command: str) -> set[str]:
    settings = {setting.key for setting in settings_of(workload.commands[command])}
    return settings | (set(RESERVED) - {"command"}) | set(workload.datasets)


def changed(tokens: Sequence[str], overrides: Sequence[str], names: Names) -> Tokens:
    """`tokens`, with those that have the same key as an override replaced by it."""
    replaced = set(map(names.key_of, keys_of(overrides)))
    return [given for given in tokens if split(given)[0] not in replaced] + list(overrides)
