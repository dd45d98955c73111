"""A script's options, read by the interpreter that has its packages, as the options of a workload's command."""

from __future__ import annotations

import json
import keyword
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.wrapped.script import PASSED, REST, Option, digest, module_of

from ..environment import ROOT
from ..errors import RegistryError
from .parsers.found import MARK

WITHIN = 120.0
"""Seconds that a script has to reach its parser: it imports its packages first."""
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from registry.new.parsers.program import main; main(*sys.argv[2:])"
FIELDS = {item.name for item in fields(Option)}
BEFORE = "script_"
"""Before the name of an option that cannot be a setting's: the harness has a key of that name, or Python a keyword."""
USUAL: Mapping[str, Sequence[str]] = {
    "dataset_id": ("data_dir", "data_path", "dataset_dir", "dataset_path", "data_root", "dataroot", "data", "root", "dataset"),
    "output_dir": ("output_dir", "out_dir", "outdir", "save_dir", "output", "out", "output_path", "log_dir", "logdir", "work_dir"),
    "seed": ("seed", "random_seed", "manual_seed", "rng_seed"),
    "resume": ("resume", "resume_from", "resume_from_checkpoint", "resume_path", "checkpoint", "ckpt", "ckpt_path"),
    "init_from": ("init_from", "pretrained_weights", "pretrained_path", "init_checkpoint", "finetune_from", "weights"),
}
"""What research scripts call the options that take what the harness knows, the first choice first."""


@dataclass(frozen=True)
class Read:
    """What one command of a script takes."""

    words: tuple[str, ...]
    """Subcommands that stand before its options."""
    help: str
    style: str
    options: tuple[Option, ...]
    passes: Mapping[str, str]
    """Keys of the harness, and the option that takes each."""
    sha256: str = ""

    def stated(self) -> dict[str, Any]:
        """The entry in options.yaml."""
        options = [option.stated() for option in self.options]
        entry = {"style": self.style, "sha256": self.sha256, "words": list(self.words), "options": options}
        return {key: value for key, value in entry.items() if value}


class UnreadableError(RegistryError):
    """A script whose options cannot be read."""


def read(script: Path, python: str, home: Path, chosen: Mapping[str, str]) -> list[Read]:
    """The commands of a script with their options.

    Args:
        script: its file.
        python: an interpreter that has its packages.
        home: the folder of its repository.
        chosen: for keys of the harness, the options that take them, in place of those with a usual name; an empty name is for none.

    Raises:
        UnreadableError: saying why.
    """
    told = output_of(script, python, home)
    line = next((line for line in reversed(told.splitlines()) if line.startswith(MARK)), None)
    if line is None:
        raise UnreadableError(f"{script.name} told nothing of its options")
    found = json.loads(line.removeprefix(MARK))
    return [of_command(entry, found["style"], chosen, digest(script)) for entry in found["commands"]]


def output_of(script: Path, python: str, home: Path) -> str:
    """What a script's interpreter prints when it is taken as far as its parser, in a folder of its own and without GPUs."""
    ours = {str(ROOT), str(ROOT / "src")}
    path = [str(home), *(entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in ours)]
    own = {"PYTHONPATH": os.pathsep.join(path), "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "TRAINS_", "HARNESS_"))} | own
    with tempfile.TemporaryDirectory() as folder:
        for entry in home.iterdir():
            if not entry.name.startswith("."):
                Path(folder, entry.name).symlink_to(entry.resolve())  # for files that it reads by relative paths
        try:
            done = subprocess.run(
                [python, "-c", PROGRAM, str(ROOT), str(script), *map(str, module_of(script) or ())],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=WITHIN,
            )
        except subprocess.TimeoutExpired:
            raise UnreadableError(f"{script.name} read no options within {WITHIN:.0f} s, and was ended") from None
        except OSError as error:
            raise UnreadableError(f"{python} cannot be started: {error}") from error
    if done.returncode:
        raise UnreadableError(f"the options of {script.name} cannot be read: {reason_in(done.stderr, python)}")
    return done.stdout


def reason_in(errors: str, python: str) -> str:
    reason = (errors.strip().splitlines() or ["no reason was given"])[-1].removeprefix("error: ")
    if reason.startswith("ModuleNotFoundError"):
        return f"{reason}; --python names an interpreter that has the script's packages (now {python}), --image an image that has them"
    return reason


def of_command(entry: Mapping[str, Any], style: str, chosen: Mapping[str, str], sha256: str) -> Read:
    """One command of what was read."""
    options = {option["name"]: option for option in entry["options"]}
    passes = passes_of(options, chosen)
    taken: set[str] = set()
    made = [made_of(option, passes, taken) for option in options.values()]
    return Read(tuple(entry["words"]), entry["help"], style, tuple(made), passes, sha256)


def passes_of(options: Mapping[str, Mapping[str, Any]], chosen: Mapping[str, str]) -> dict[str, str]:
    """Which options take what the harness knows: those that were chosen, else those whose names are the usual ones."""
    if unknown := [f"{key}={name}" for key, name in chosen.items() if name and name not in options]:
        raise UnreadableError(f"the script has no such option: {', '.join(unknown)}; it has {', '.join(options)}")
    passes: dict[str, str] = {}
    for key, names in USUAL.items():
        ends = {name.rpartition(".")[2]: name for name in fitting(options, "int" if key == "seed" else "str")}
        found = chosen.get(key, next((ends[name] for name in names if name in ends), ""))
        if found and found not in passes.values():
            passes[key] = found
    return passes


def fitting(options: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[str]:
    """The options that take one value of a type, whichever it is."""
    for name, option in options.items():
        takes_one = option["form"] in {"value", "place", "override"} and not option.get("many") and not option.get("choices")
        if takes_one and option["type"] == kind:
            yield name


def made_of(found: Mapping[str, Any], passes: Mapping[str, str], taken: set[str]) -> Option:
    """An option with a key of its own."""
    name = found["name"]
    key = name if name in passes.values() else key_of(name, taken, is_group=bool(found.get("group")))
    taken.add(key)
    values = {field: value for field, value in found.items() if field in FIELDS and value is not None}
    if values.get("default") == "" and values.get("type") != "str":
        del values["default"]
    choices = [choice for choice in values.pop("choices", []) if choice is not None]
    if choices and values.get("default") not in [None, *choices] and not values.get("many"):
        choices = []  # the script does not keep to them itself
    return Option.of({**values, "key": key, "name": "" if key == name else name, "choices": choices})


def key_of(name: str, taken: Collection[str], *, is_group: bool = False) -> str:
    """The setting's key: the option's name, unless something else is called so."""
    from harness.keys import RESERVED

    parts = [re.sub(r"\W", "_", part) for part in name.split(".")]
    key = ".".join(part if part.isidentifier() and not keyword.iskeyword(part) and part[0] != "_" else f"{BEFORE}{part}" for part in parts)
    own = {*RESERVED, *PASSED, "dataset_id", "dataset_path", REST}
    if is_group:
        return f"{BEFORE}{key.replace('.', '_')}"  # the group's settings have its name before theirs
    if parts[0] in own or any(f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.") for other in taken):
        return f"{BEFORE}{key}"
    return key
