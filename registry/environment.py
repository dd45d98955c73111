"""Python environments as layers, one folder each in the user's cache, linked below `.venvs/`.

A layer is a requirements.txt on top of lower layers, as an image is built on its base. What is installed is its lock,
requirements.lock, which names every package (`locks` writes it). A layer is built once per machine, in a folder named by the hash of its
contents, so a second clone finds it ready. A `.pth` file adds the lower layers' site-packages to the path: the upper layer's packages
take precedence, and pip treats the lower ones as installed.

This module uses the standard library only, because it makes the environments that everything else needs:

    python3 -m registry.environment clip            # .venvs/clip and the layers below it
    python3 -m registry.environment --clone         # .venv: registry, server, tests, and this clone's own packages
    python3 -m registry.environment --debian clip   # its Debian packages: docker/harness/packages.txt, docker/clip/packages.txt
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import NAME
from .errors import BrokenEnvironmentError

ROOT = Path(__file__).resolve().parents[1]
OWN = ("harness", "torch", "registry", "testing", "s3-store", "docs")
"""The layers that belong to no image."""
COMPLETE = "layer.complete"  # written last: without it, the installation was interrupted


@dataclass(frozen=True)
class Layer:
    """A requirements.txt and the layers below it, nearest first."""

    name: str
    requirements: Path
    below: tuple[Layer, ...] = ()

    @property
    def lock(self) -> Path:
        """The file that lists every package which the layer adds to those below it, with its version."""
        return self.requirements.with_suffix(".lock")

    @property
    def lock_header(self) -> str:
        """The first line of a lock that was made from the current requirements and the locks below."""
        made_from = [*pins(self.requirements), *(line for layer in self.below for line in pins(layer.lock))]
        return f"# Made by `make lock` from requirements.txt and the locks below it: {digest_of(made_from)}"

    def outdated(self) -> Iterator[str]:
        """An error message for each lock, of this layer or one below, that is missing or out of date."""
        for layer in self.below:
            yield from layer.outdated()
        if not self.lock.exists():
            yield f"environment {self.name}: {self.lock} is missing; run: make lock"
        elif self.lock.read_text().partition("\n")[0] != self.lock_header:
            yield f"environment {self.name}: {self.lock} is out of date: {self.requirements} or a lock below it has changed; run: make lock"

    @property
    def key(self) -> str:
        """A hash of this layer's lock, those below it, and the interpreter: 12 hexadecimal digits."""
        parts = [sys.version, sys.platform, os.path.realpath(sys.executable), *pins(self.lock)]
        parts += [layer.key for layer in self.below]
        return digest_of(parts)

    @property
    def folder(self) -> Path:
        return cache_folder() / "envs" / f"{self.name}-{self.key}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def is_complete(self) -> bool:
        return (self.folder / COMPLETE).exists() and self.python.exists()


def digest_of(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def pins(file: Path) -> list[str]:
    """The lines of a requirements file or a lock without comments; none if the file is missing."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def cache_folder() -> Path:
    """The folder for environments, stamps and wheels, outside of every clone."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / NAME


def image_names(root: Path = ROOT) -> list[str]:
    """Every image: the folders below docker/ that contain a Dockerfile."""
    return sorted(path.parent.name for path in root.glob("docker/*/Dockerfile"))


def layer_named(name: str, root: Path = ROOT) -> Layer:
    """The layer of an image, or one of `OWN`, in the clone at `root`."""
    docker = root / "docker"
    harness = Layer("harness", docker / "harness/requirements.txt")
    torch = Layer("torch", docker / "torch/requirements.txt")
    registry = Layer("registry", root / "requirements.txt", (harness,))
    own = {
        "harness": harness,
        "torch": torch,
        "registry": registry,
        "testing": Layer("testing", root / "tests/requirements.txt", (registry, harness)),
        "s3-store": Layer("s3-store", root / "tests/support/s3/requirements.txt"),
        "docs": Layer("docs", root / "docs/requirements.txt"),
    }
    assert set(own) == set(OWN)
    if name in own:
        return own[name]
    if name not in image_names(root):
        known = ", ".join([*own, *image_names(root)])
        raise BrokenEnvironmentError(f"there is no environment {name!r}; available: {known}")
    return Layer(name, docker / name / "requirements.txt", (harness, torch) if on_torch(docker / name) else (harness,))


def on_torch(folder: Path) -> bool:
    """Whether the image's default base is a PyTorch image, which the torch layer replaces on a machine without Docker."""
    base = re.search(r"^ARG BASE_IMAGE=(\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    return base is not None and "pytorch" in base[1]


def site_packages(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on `path` that no other process can hold at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(layer: Layer) -> Layer:
    """Build a layer and those below it, independent ones in parallel. A complete layer is left as it is."""
    if problems := list(layer.outdated()):
        raise BrokenEnvironmentError("\n".join(problems))
    with ThreadPoolExecutor() as pool:
        list(pool.map(build, layer.below))
    with locked(layer.folder.with_suffix(".lock")):
        if not layer.is_complete:
            install(layer)
    return layer


def install(layer: Layer) -> None:
    """Create the layer's folder again. A venv contains absolute paths, so it is built in place and marked when complete."""
    say(f"environment {layer.name}: installing")
    started = time.monotonic()
    shutil.rmtree(layer.folder, ignore_errors=True)
    make_venv(layer.folder, [site_packages(below.folder) for below in layer.below], with_pip=not layer.below)
    command = [str(layer.python), "-I", "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--disable-pip-version-check"]
    log = layer.folder / "pip.log"
    with log.open("wb") as output:
        done = subprocess.run([*command, "-r", str(layer.lock)], stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BrokenEnvironmentError(f"environment {layer.name}: pip install -r {layer.lock} failed:\n{tail}\n(complete log: {log})")
    (layer.folder / COMPLETE).touch()
    say(f"environment {layer.name}: ready after {time.monotonic() - started:.0f} s")


def make_venv(folder: Path, below: list[Path], with_pip: bool) -> None:
    """Create a virtual environment that also finds the packages in the folders `below`."""
    try:
        venv.EnvBuilder(symlinks=True, with_pip=with_pip, clear=True).create(folder)
    except subprocess.CalledProcessError as error:
        raise BrokenEnvironmentError(
            f"{sys.executable} cannot create virtual environments; run: apt-get install -y python3-venv"
        ) from error
    if below:
        (site_packages(folder) / "layers.pth").write_text("".join(f"{path}\n" for path in below))


def link(name: str) -> Path:
    """Build an image's environment and link it as `.venvs/<name>`."""
    place = ROOT / ".venvs" / name
    target = build(layer_named(name)).folder
    point(place, target)
    return place


def point(place: Path, target: Path) -> None:
    """Point the symbolic link `place` to `target`, in one atomic step."""
    place.parent.mkdir(exist_ok=True)
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    beside.symlink_to(target)
    beside.replace(place)


def clone_path(*, testing: bool) -> str:
    """The import path of `.venv`, one folder per line: this clone's own packages, then the layers."""
    top = layer_named("testing" if testing else "registry")
    folders = [ROOT / "src", ROOT, *(site_packages(layer.folder) for layer in [top, *top.below])]
    return "".join(f"{folder}\n" for folder in folders)


def link_clone(*, testing: bool) -> Path:
    """Create `.venv`: this clone's own packages and commands on top of the registry's layer, or of the tests' layer."""
    top = build(layer_named("testing" if testing else "registry"))
    folder = ROOT / ".venv"
    listing = site_packages(folder) / "layers.pth"
    script, text = folder / "bin" / "registry", command_of(folder / "bin" / "python")
    fresh = script.exists() and script.read_text() == text
    if fresh and listing.exists() and listing.read_text() in {clone_path(testing=testing), clone_path(testing=True)}:
        return folder
    make_venv(folder, [], with_pip=False)
    own = ("python", "activate", "pip")
    for command in (path for layer in [top, *top.below] for path in layer.folder.glob("bin/*")):
        if not command.name.lower().startswith(own) and not (folder / "bin" / command.name).exists():
            (folder / "bin" / command.name).symlink_to(command)
    script.write_text(text)
    script.chmod(0o755)
    listing.write_text(clone_path(testing=testing))
    return folder


def command_of(python: Path) -> str:
    """The script `registry`, valid both for a shell and for Python: a `#!` line cannot name an interpreter whose path has a blank."""
    return f"""#!/bin/sh
'''exec' {shlex.quote(str(python))} "$0" "$@"
' '''
from clearml_workloads import main

main()
"""


def install_debian(listings: list[Path]) -> None:
    """Install the Debian packages that the existing files list.

    Raises:
        BrokenEnvironmentError: the installation failed, or needs root; then the message gives the command to run.
    """
    lines = [line for listing in listings if listing.exists() for line in listing.read_text().splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    missing = [name for name in names if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode]
    if not missing:
        return
    line = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    if os.geteuid():
        raise BrokenEnvironmentError(f"Debian packages are missing; run: sudo {' '.join(line)}")
    say(f"Debian packages: {' '.join(missing)}")
    for command in (["apt-get", "update", "-q"], line):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode:
            raise BrokenEnvironmentError(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build Python environments.")
    parser.add_argument("names", nargs="*", metavar="IMAGE", help="image whose environment to build and link as .venvs/IMAGE")
    parser.add_argument("--clone", action="store_true", help="also create .venv for the registry and the server")
    parser.add_argument("--testing", action="store_true", help="include the tests' tools in .venv")
    parser.add_argument("--debian", action="store_true", help="also install the images' Debian packages")
    options = parser.parse_args()
    try:
        if options.debian:
            folders = ["docker/harness", *(f"docker/{name}" for name in options.names), *(["tests"] if options.testing else [])]
            install_debian([ROOT / folder / "packages.txt" for folder in folders])
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(link, name) for name in options.names]
            if options.clone:
                jobs.append(pool.submit(link_clone, testing=options.testing))
            for job in jobs:
                job.result()
    except BrokenEnvironmentError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
