"""The arguments of a task: those it was given, and what a person has edited since it ran, or since the task ran that it was cloned from.

`Args` holds the arguments as given, `Settings` every setting that a run resolved from them. People and hyper-parameter searches edit both
on clones, so a run has to tell an edit from what an earlier run wrote. Therefore each run notes what it writes to these sections in a
configuration object, `as_run`, in the same request. ClearML copies this object to clones and keeps it at a reset, and
`Task.set_parameters`, which drops every parameter that it is not given, leaves it alone. A later run compares:

- A value in `Args` or `Settings` that differs from the note is an edit, and takes effect. If both are edited to different values, the run
  is refused.
- An argument that was removed from `Args` is no longer given. If a whole section is missing, `set_parameters` has dropped it, and the
  noted values still hold.
- `Datasets` and `as_run` itself are only a record: an edit there is refused, with a hint at the place that takes effect. The same is
  true of other configuration objects, of `General`, and of this package's keys in other sections.
- An alias of a key, which no run writes, stands for the key and replaces its value, unless that was edited as well.
- Without a note, no run has written to the task: everything in `Args` and `Settings` was given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .aliases import Names
from .errors import ParameterError
from .grammar import on_task
from .keys import keys_of, names_of
from .params import chosen_command
from .settings import nearest
from .translation import meant_by
from .workload import Declaration

NOTE = "as_run"
"""The configuration object."""
ASKED, MADE, USED = "Args", "Settings", "Datasets"
SECTIONS = (ASKED, MADE, USED)
"""The sections that runs write."""
OTHERS = ("properties", "launch_multi_node")
"""Sections of ClearML's own, which are ignored."""

Sections = Mapping[str, Mapping[str, str]]


def note(sections: Sections) -> str:
    """The contents of `as_run` for the sections that a run writes."""
    return json.dumps({"written": sections, "sha256": digest(sections)}, indent=1)


def digest(sections: Sections) -> str:
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def noted(text: str | None) -> Sections | None:
    """What the previous run wrote; None if there was none.

    Raises:
        ParameterError: the note was edited.
    """
    if text is None:
        return None
    try:
        stated = json.loads(text)
        written: Sections = stated["written"]
        whole = stated["sha256"] == digest(written)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ParameterError(
            [f"configuration object {NOTE!r} was edited, but it is only a record of what ran; restore it, and edit Args/ or Settings/"]
        )
    return written


def asked(declaration: Declaration, sections: Sections, configuration: Mapping[str, str]) -> dict[str, str]:
    """The arguments of a task, by key.

    Args:
        declaration: the task's workload.
        sections: the task's parameters, by section and name.
        configuration: the texts of its configuration objects.

    Raises:
        ParameterError: listing every edit that would have no effect, and those that contradict each other.
    """
    command = chosen_command(declaration, sections.get(ASKED, {}).get("command") or None, [])
    names = names_of(declaration, command) if command else Names()
    ran = noted(configuration.get(NOTE))
    before = None if ran is None else {name: by_keys(ran[name], {}, names) for name in SECTIONS}
    known = keys_of(declaration)
    problems = [f"configuration object {name!r}: runs do not read it; edit Args/ or Settings/" for name in configuration if name != NOTE]
    problems += elsewhere(sections, known)
    now = {name: by_keys(sections.get(name, {}), ran[name] if ran else {}, names) for name in SECTIONS}
    if before is not None:
        if any(before[name] and not now[name] for name in SECTIONS):
            now = {name: {**before[name], **now[name]} for name in SECTIONS}
        problems += [f"{MADE}/{key} was removed, which has no effect; give it a value" for key in before[MADE] if key not in now[MADE]]
        if now[USED] != before[USED]:
            changed = sorted(key for key, _ in now[USED].items() ^ before[USED].items())
            problems += [
                f"{USED}/{key} was edited, but it is only a record of what was used; edit {ASKED}/{key}" for key in dict.fromkeys(changed)
            ]
    edits = {name: edited(now[name], None if before is None else before[name]) for name in (ASKED, MADE)}
    problems += [f"{MADE}/{key}: there is no such key{nearest(key, known)}" for key in edits[MADE] if key not in known]
    problems += contradictions(
        edits, known, "neither equals the previous run's value" if before else "no previous run tells which one was edited"
    )
    if problems:
        raise ParameterError(problems)
    return {**now[ASKED], **edits[MADE]}


def by_keys(held: Mapping[str, str], before: Mapping[str, str], names: Names) -> dict[str, str]:
    """A section with its aliases replaced by keys. Of an alias and its key, the edited one counts; if both were edited, both stay."""
    found = dict(held)
    for name in held.keys() & names.aliases.keys():
        meant = meant_by(on_task(name, held[name]), names.aliases[name])
        if meant.key not in held or held[meant.key] == before.get(meant.key):
            found[meant.key] = meant.text
        elif held[name] != before.get(name):
            continue
        del found[name]
    return found


def edited(now: Mapping[str, str], before: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in now.items() if before is None or before.get(key) != value}


def elsewhere(sections: Sections, known: Mapping[str, bool]) -> Iterator[str]:
    """Values that look like edits, in places that runs do not read."""
    for section, held in sections.items():
        if section not in {*SECTIONS, *OTHERS}:
            for key, value in held.items():
                if section in {"", "General"} or key in known:
                    hint = "" if key in known else nearest(key, known)
                    yield f"{section}/{key}={value}: runs read only {ASKED}/ and {MADE}/; write {ASKED}/{key}{hint}"


def contradictions(edits: Sections, known: Mapping[str, bool], why: str) -> Iterator[str]:
    """Keys with different values in Args and Settings."""
    for key, value in edits[MADE].items():
        other = edits[ASKED].get(key)
        if other is not None and meaning(key, value, known) != meaning(key, other, known):
            yield f"{ASKED}/{key}={other} and {MADE}/{key}={value} differ, and {why}; make them equal"


def meaning(key: str, text: str, known: Mapping[str, bool]) -> Any:
    """A value as its setting would hold it, so that 0.25 equals 2.5e-1."""
    return on_task(key, text).meant(known.get(key, True))
