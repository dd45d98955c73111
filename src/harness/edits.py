"""What a task asks for: what it was given, and what a person has changed since it ran, or since the task ran that it is a clone of.

`Args` holds what was asked for, `Settings` what a run made of it: every setting. People and searches for hyper-parameters edit both on
clones, so a run must tell an edit from what an earlier run wrote. It therefore notes what it writes into the sections in a configuration
object, `as_run`, in the same request. ClearML copies it with a clone and keeps it at a reset; `Task.set_parameters`, which drops every
parameter that it is not given, leaves it alone. A later run compares:

- A value in `Args` or `Settings` that is not the noted one is an edit, and is what runs. If both are edited and differ, nothing runs.
- An argument that was taken out of `Args` is no longer given. If a whole section is gone, `set_parameters` has dropped it, and what was
  noted still holds.
- `Datasets` and `as_run` itself only tell what was: a change there is refused with the place where it would count, and so are other
  configuration objects, `General`, and keys of ours in other sections.
- An original's name for a key, which no run writes, stands for the key, whose value it takes the place of unless that was edited, too.
- Without a note no run has written on the task: all that stands in `Args` and `Settings` has been asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .aliases import Names
from .errors import ParameterError
from .grammar import on_task
from .params import chosen_command, keys_of, names_of
from .settings import nearest
from .translation import meant_by
from .workload import Declaration

NOTE = "as_run"
"""The configuration object."""
ASKED, MADE, USED = "Args", "Settings", "Datasets"
SECTIONS = (ASKED, MADE, USED)
"""The sections that a run writes."""
OTHERS = ("properties", "launch_multi_node")
"""Those of ClearML's own, whatever they hold."""

Sections = Mapping[str, Mapping[str, str]]


def note(sections: Sections) -> str:
    """The contents of `as_run` for what a run writes."""
    return json.dumps({"written": sections, "sha256": digest(sections)}, indent=1)


def digest(sections: Sections) -> str:
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def noted(text: str | None) -> Sections | None:
    """What the run before wrote; None if there was none.

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
            [f"configuration object {NOTE!r} was edited: it only tells what ran; put it back, and edit Args/ or Settings/"]
        )
    return written


def asked(declaration: Declaration, sections: Sections, configuration: Mapping[str, str]) -> dict[str, str]:
    """The arguments that a task asks for, by key.

    Args:
        declaration: the task's workload.
        sections: the task's parameters, by section and name.
        configuration: the texts of its configuration objects.

    Raises:
        ParameterError: naming every edit that would not count, and those that contradict each other.
    """
    command = chosen_command(declaration, sections.get(ASKED, {}).get("command") or None, [])
    names = names_of(declaration, command) if command else Names()
    ran = noted(configuration.get(NOTE))
    before = None if ran is None else {name: by_keys(ran[name], {}, names) for name in SECTIONS}
    known = keys_of(declaration)
    problems = [f"configuration object {name!r}: a run reads none; edit Args/ or Settings/" for name in configuration if name != NOTE]
    problems += elsewhere(sections, known)
    now = {name: by_keys(sections.get(name, {}), ran[name] if ran else {}, names) for name in SECTIONS}
    if before is not None:
        if any(before[name] and not now[name] for name in SECTIONS):
            now = {name: {**before[name], **now[name]} for name in SECTIONS}
        problems += [f"{MADE}/{key} was taken out, which changes nothing; give it a value" for key in before[MADE] if key not in now[MADE]]
        if now[USED] != before[USED]:
            changed = sorted(key for key, _ in now[USED].items() ^ before[USED].items())
            problems += [f"{USED}/{key} was edited: it only tells what was used; edit {ASKED}/{key}" for key in dict.fromkeys(changed)]
    edits = {name: edited(now[name], None if before is None else before[name]) for name in (ASKED, MADE)}
    problems += [f"{MADE}/{key}: there is no such key{nearest(key, known)}" for key in edits[MADE] if key not in known]
    problems += contradictions(edits, known, "neither is what ran before" if before else "no run before tells which one was edited")
    if problems:
        raise ParameterError(problems)
    return {**now[ASKED], **edits[MADE]}


def by_keys(held: Mapping[str, str], before: Mapping[str, str], names: Names) -> dict[str, str]:
    """A section with keys in place of other names for them. Of a name and its key that which was edited counts; if both were, both stay."""
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
    """Values that look like edits where no run reads them."""
    for section, held in sections.items():
        if section not in {*SECTIONS, *OTHERS}:
            for key, value in held.items():
                if section in {"", "General"} or key in known:
                    hint = "" if key in known else nearest(key, known)
                    yield f"{section}/{key}={value}: a run reads {ASKED}/ and {MADE}/ alone; write {ASKED}/{key}{hint}"


def contradictions(edits: Sections, known: Mapping[str, bool], why: str) -> Iterator[str]:
    """Keys that were given one value in Args and another one in Settings."""
    for key, value in edits[MADE].items():
        other = edits[ASKED].get(key)
        if other is not None and meaning(key, value, known) != meaning(key, other, known):
            yield f"{ASKED}/{key}={other} and {MADE}/{key}={value} differ, and {why}; make them equal"


def meaning(key: str, text: str, known: Mapping[str, bool]) -> Any:
    """A value as the setting has it, so that 0.25 is 2.5e-1."""
    return on_task(key, text).meant(known.get(key, True))
