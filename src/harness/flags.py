"""Command-line flags, `--key value`, converted to the tokens `key=value`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .grammar import literal, parsed


def tokens_of(arguments: Sequence[str], known: Collection[str]) -> list[str]:
    """Convert `--key value`, `--key=value` and `--key` (True) to tokens. The value of a flag is one value, whatever characters it contains.

    Args:
        arguments: flags and `key=value`, mixed.
        known: names of settings. They tell a flag without a value, followed by `key=value`, from a flag whose value contains `=`.
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
    """The token for a value taken literally: quoted if the grammar would read several values, or none, from it."""
    override = parsed(f"{key}={value}")
    return f"{key}={value}" if override is not None and not override.is_sweep_override() else f"{key}={literal(value)}"
