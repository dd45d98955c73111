"""A new workload: everything is checked before anything is written, and what is written is written whole."""

from __future__ import annotations

import contextlib
import keyword
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.launch import image_python
from harness.workload import load
from harness.wrapped.script import PASSED

from .. import render
from ..environment import image_names, layer_named
from ..errors import RegistryError, UsageError
from ..findings import Findings
from ..workload import discover
from . import forms
from .origin import Origin, origin_of
from .reading import Read, read

COLLIDING = ("training", "registry", "data", "models", "model", "utils", "datasets", "tests", "test", "config", "configs", "src", "main")
"""Names that research repositories have for packages of theirs."""


@dataclass(frozen=True)
class Wanted:
    """What `registry new` was asked for."""

    name: str
    source: str | None = None
    image: str | None = None
    """An image that there is already; by default one of the workload's name is made."""
    python: str | None = None
    queue: str = "gpu01"
    options: Sequence[str] = ()
    """KEY=OPTION: what takes a key of the harness."""
    free: bool = False
    """Take the script without reading its options."""

    @property
    def package(self) -> str:
        return re.sub(r"\W", "_", self.name).lower()


def make(wanted: Wanted, root: Path) -> list[str]:
    """Write a workload's files and render what follows from them; returns what there is to say.

    Raises:
        UsageError: with all that is wrong, before anything is written.
    """
    findings = Findings()
    findings.add(problems_of_name(wanted, root))
    chosen = findings.attempt(lambda: chosen_options(wanted.options)) or {}
    if wanted.image and wanted.image not in image_names(root):
        findings.add([f"--image {wanted.image}: there is no such image; there are: {', '.join(image_names(root))}"])
    if not wanted.source and (wanted.options or wanted.python or wanted.free):
        findings.add(["--option, --python and --free are for a script: name it by --from"])
    origin = findings.attempt(lambda: origin_of(wanted.source or "", root)) if wanted.source else None
    commands = findings.attempt(lambda: commands_of(origin, wanted, root, chosen)) if origin else None
    findings.settle()
    image = wanted.image or wanted.name.lower()
    if origin and commands:
        files = forms.of_script(wanted.name, wanted.queue, image, origin, commands)
    else:
        files = forms.of_own(wanted.name, wanted.queue, wanted.package)
    notes = [*(origin.notes if origin else ())]
    if not wanted.image:
        requirements = forms.requirements_in(origin.home) if origin else []
        tag = render.pytorch_tag(root)
        files |= forms.of_image(image, wanted.name, requirements, f"{render.PYTORCH}:{tag}" if tag else None)
        if requirements:
            notes.append(f"docker/{image}/requirements.txt: state a version of each package (name==1.2.3), then: make lock env/{image}")
    write(wanted, files, root)
    return [*notes, *(f"command {name}: {told(command)}" for name, command in (commands or {}).items())]


def told(command: Read) -> str:
    """What was read, in a line."""
    taken = ", ".join(f"{key} by {name}" for key, name in command.passes.items())
    renamed = ", ".join(f"{option.name} is {option.key}" for option in command.options if option.key.startswith("script_"))
    return "; ".join(filter(None, [f"{len(command.options)} options ({command.style})", taken and f"takes {taken}", renamed]))


def problems_of_name(wanted: Wanted, root: Path) -> Iterator[str]:
    """What is wrong with the name of a workload that is to be made."""
    name = wanted.name
    if not re.fullmatch(r"[A-Za-z][\w.-]*", name):
        yield f"{name!r} cannot be a workload's name: it must begin with a letter, and have letters, digits, '.', '_' and '-' alone"
        return
    folders = [f"clearml_tasks/{name}", f"configs/{name}", *([] if wanted.image else [f"docker/{name.lower()}"])]
    yield from (f"{folder} is there already" for folder in folders if (root / folder).exists())
    if name.lower() in {other.lower() for other in discover(root)} and not (root / folders[0]).exists():
        yield f"there is a workload whose name differs from {name} in upper and lower case alone"
    if wanted.source:
        return
    package = wanted.package
    if (root / "src" / package).exists():
        yield f"src/{package} is there already"
    if package in COLLIDING or package in sys.stdlib_module_names or keyword.iskeyword(package):
        yield f"{name}: a package called {package} would hide others of that name; choose a name of its own"


def chosen_options(stated: Sequence[str]) -> dict[str, str]:
    """Which options take what, as they were typed.

    Raises:
        UsageError: a key that there is not.
    """
    allowed = ("dataset_id", *PASSED)
    pairs = [(text, *text.partition("=")) for text in stated]
    wrong = [text for text, key, sign, _ in pairs if key not in allowed or not sign]
    if wrong:
        raise UsageError(*(f"--option {text}: must be KEY=OPTION, KEY one of {', '.join(allowed)}" for text in wrong))
    return {key: name.lstrip("-").replace("-", "_") for _, key, _, name in pairs}


def commands_of(origin: Origin, wanted: Wanted, root: Path, chosen: Mapping[str, str]) -> dict[str, Read]:
    """What the script of an origin can do, by the names of commands."""
    if wanted.free:
        return {command_name(origin.path, ()): Read((), "", "plain", (), {})}
    try:
        python = wanted.python or image_python(wanted.image or wanted.name.lower(), root, os.environ)
        found = read(origin.file, python, origin.home, chosen)
    except (RegistryError, HarnessError) as error:
        raise UsageError(f"{error}; --free takes the script without its options: arguments=[--lr,0.1]") from error
    return {command_name(origin.path, command.words): command for command in found}


def command_name(path: str, words: Sequence[str]) -> str:
    """What a command is called: as the subcommand, else as the script."""
    stem = words[-1] if words else Path(path).stem
    name = re.sub(r"\W", "_", stem).strip("_")
    return "train" if name in {"main", "run", "", "__main__"} else name


def write(wanted: Wanted, files: Mapping[str, str], root: Path) -> None:
    """Write files of new folders, and render; or write nothing.

    Raises:
        HarnessError, RegistryError: what was written cannot be read.
    """
    folders = sorted({"/".join(path.split("/")[:2]) for path in files})
    setup = root / "setup.cfg"
    before = setup.read_text() if setup.exists() else None
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as scratch:
        for path, text in files.items():
            place = Path(scratch, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        moved: list[Path] = []
        try:
            for folder in folders:
                (root / folder).parent.mkdir(exist_ok=True)
                os.rename(Path(scratch, folder), root / folder)
                moved.append(root / folder)
            complete(wanted, files, root, before)
        except BaseException:
            for place in moved:
                shutil.rmtree(place, ignore_errors=True)
            with contextlib.suppress(OSError):
                if before is not None:
                    setup.write_text(before)
                render.write(root)
            raise


def complete(wanted: Wanted, files: Mapping[str, str], root: Path, setup: str | None) -> None:
    """What follows from the files: the lock of an image without packages of its own, the list of packages, the rendered files."""
    load(root / "clearml_tasks" / wanted.name)
    image = wanted.name.lower()
    if files.get(f"docker/{image}/requirements.txt") == "":
        layer = layer_named(image, root)
        layer.lock.write_text(f"{layer.lock_header}\n")
    if setup and f"src/{wanted.package}/__init__.py" in files and "\ninstall_requires" in setup:
        (root / "setup.cfg").write_text(setup.replace("\ninstall_requires", f"\n    {wanted.package}\ninstall_requires", 1))
    render.write(root)
