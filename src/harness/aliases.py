"""Other names of settings, mostly those of the repository that a workload was made from. A workload declares them, and they can be used
on every command line, in config files and on tasks.

An alias stands for a key. A fixed name is accepted if its value is the one that applies anyway, with a note that it has no effect. A
refused name is an error that says what to use instead. Tasks record the keys, never these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TABLES = ("aliases", "fixed", "refused")


@dataclass(frozen=True)
class Alias:
    """Another name of a key."""

    key: str
    values: Mapping[Any, Any] = field(default_factory=dict)
    """Values that have another name here as well; all others are passed on as they are."""


@dataclass(frozen=True)
class Fixed:
    """A name that has no effect."""

    why: str
    values: tuple[Any, ...] | None = None
    """The accepted values; None accepts all."""


@dataclass(frozen=True)
class Names:
    """The other names of a workload, or of one command."""

    aliases: Mapping[str, Alias] = field(default_factory=dict)
    fixed: Mapping[str, Fixed] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Names:
        """From the tables in a mapping that has been checked."""
        aliases, fixed, refused = (stated.get(table, {}) for table in TABLES)
        return cls(
            {name: Alias(entry) if isinstance(entry, str) else Alias(entry["key"], entry["values"]) for name, entry in aliases.items()},
            {name: Fixed(entry["why"], tuple(entry["values"]) if "values" in entry else None) for name, entry in fixed.items()},
            dict(refused),
        )

    def __iter__(self) -> Iterator[str]:
        yield from (*self.aliases, *self.fixed, *self.refused)

    def key_of(self, name: str) -> str:
        """The key that a name stands for."""
        return self.aliases[name].key if name in self.aliases else name


def problems_of_names(stated: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """All problems in the tables of a workload.yaml, or of one of its commands."""
    seen: dict[str, str] = {}
    for table in TABLES:
        entries = stated.get(table, {})
        if not isinstance(entries, dict):
            yield f"{where}{table} must be a mapping"
            continue
        for name, entry in entries.items():
            if name in seen:
                yield f"{where}{table}: {name} is also in {seen[name]}"
            seen[name] = table
            if problem := problem_of_entry(table, entry):
                yield f"{where}{table}.{name}: {problem}"
    aliases = stated.get("aliases") if isinstance(stated.get("aliases"), dict) else {}
    for name, entry in (aliases or {}).items():
        target = entry.get("key") if isinstance(entry, dict) else entry
        if isinstance(target, str) and target in seen:
            yield f"{where}aliases.{name}: {target} is not a key, it is itself in {seen[target]}"


def problem_of_entry(table: str, entry: Any) -> str | None:
    """The problem of one entry, or None."""
    if table == "refused" or not isinstance(entry, dict):
        return None if isinstance(entry, str) and table != "fixed" else f"must be {FORMS[table]}"
    if table == "aliases":
        right = entry.keys() == {"key", "values"} and isinstance(entry["key"], str) and isinstance(entry["values"], dict)
    else:
        right = {"why"} <= entry.keys() <= {"why", "values"} and isinstance(entry["why"], str) and isinstance(entry.get("values", []), list)
    return None if right else f"must be {FORMS[table]}"


FORMS = {
    "aliases": "KEY, or {key: KEY, values: {THEIRS: OURS}}",
    "fixed": "{why: TEXT}, and values: [VALUE, ...] if only some are accepted",
    "refused": "a text that says what to use instead",
}
