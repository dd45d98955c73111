"""Flags of a command line, `--key value`, as the tokens `key=value` that they stand for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .grammar import literal, parsed


def tokens_of(arguments: Sequence[str], known: Collection[str]) -> list[str]:
    """`--key value`, `--key=value` and `--key`, which is True, as tokens; a value of a flag is one value, whatever signs are in it.

    Args:
        arguments: flags and `key=value`, mixed.
        known: names of settings, by which a flag alone is told from one whose value has a `=` in it.
    """
    tokens, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        name, sign, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not name:
            tokens.append(argument)
            continue
        if not sign:
            value = "True" if not rest or rest[0].startswith("--") or rest[0].partition("=")[0] in known else rest.pop(0)
        tokens.append(exact(name.replace("-", "_"), value))
    return tokens


def exact(key: str, value: str) -> str:
    """The token of a value that stands for itself: in quotes where the grammar would read more than one value into it, or none."""
    override = parsed(f"{key}={value}")
    return f"{key}={value}" if override is not None and not override.is_sweep_override() else f"{key}={literal(value)}"
