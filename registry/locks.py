"""Locks: every package of an environment with its version, including indirect dependencies.

A `requirements.txt` names the packages that a layer is for. uv resolves their dependencies, for all machines that images run on, and the
result is written next to it as `requirements.lock`. The lock is what is installed, so an environment with a given hash always contains
the same packages. A lock lists only the packages that its layer adds to the layers below it, or replaces; the packages of an image's base
are fixed by the base.

    make lock                                       # after changing a requirements.txt; other packages keep their versions
    python -m registry.locks --upgrade clip         # also upgrades the packages that the requirements.txt does not name
    python -m registry.locks --check                # checks that every lock is up to date
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from .environment import OWN, Layer, image_names, layer_named, pins
from .errors import BrokenEnvironmentError

UV = Path(sys.executable).with_name("uv")
OLDEST = "3.11"
"""The Python version that all packages must support."""
MACHINES: Sequence[Mapping[str, str]] = [
    {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine, "sys_platform": "linux"}
    for version in (OLDEST, "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]
"""The machines that images run on, in the terms of PEP 508's markers."""


def lock(layer: Layer, *, upgrade: bool = False) -> bool:
    """Write a layer's lock, and return whether it has changed. The layers below it must be locked.

    Raises:
        BrokenEnvironmentError: the requirements contradict each other, or require a torch that differs from the base's.
    """
    below = [line for lower in layer.below for line in pins(lower.lock)]
    kept = [] if upgrade or not layer.lock.exists() else pins(layer.lock)
    found = [line for line in map(on_our_machines, resolved(layer, [*below, *kept])) if line]
    added = [line for line in found if line not in below]
    if any(lower.name == "torch" for lower in layer.below) and (torch := [line for line in added if line.startswith("torch==")]):
        raise BrokenEnvironmentError(f"environment {layer.name}: its packages require {torch[0]}, which differs from the torch of its base")
    before = layer.lock.read_text() if layer.lock.exists() else None
    layer.lock.write_text("\n".join([layer.lock_header, *added]) + "\n")
    return layer.lock.read_text() != before


def resolved(layer: Layer, preferred: Iterable[str]) -> list[str]:
    """Everything that a layer's requirements need, one line each, in the preferred versions where possible."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "requirements.lock"
        result.write_text("".join(f"{line}\n" for line in dict.fromkeys(preferred)))  # uv keeps what it finds in the file that it writes
        command = [str(UV), "pip", "compile", str(layer.requirements), "--quiet", "--no-config", "--output-file", str(result)]
        command += ["--universal", "--python-version", OLDEST, "--fork-strategy", "fewest", "--no-header", "--no-annotate"]
        certificates = {"SSL_CERT_FILE": os.environ["PIP_CERT"]} if "PIP_CERT" in os.environ else {}
        done = subprocess.run(command, capture_output=True, text=True, env={**certificates, **os.environ})
        if done.returncode:
            raise BrokenEnvironmentError(f"environment {layer.name}: {layer.requirements} cannot be locked:\n{done.stderr.strip()}")
        return pins(result)


def on_our_machines(line: str) -> str:
    """A pin, without its marker if that holds on every machine; an empty text if it holds on none."""
    pin = Requirement(line)
    holds = [pin.marker is None or pin.marker.evaluate(dict(machine)) for machine in MACHINES]
    return line if any(holds) and not all(holds) else f"{pin.name}{pin.specifier}" if all(holds) else ""


def layers_of(names: Sequence[str]) -> list[Layer]:
    """The named layers, by default all, each after those below it."""
    wanted = [layer_named(name) for name in names or [*OWN, *image_names()]]
    return sorted(wanted, key=lambda layer: len(layer.below))


def main() -> None:
    parser = argparse.ArgumentParser(description="Lock the packages of environments.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"image, or one of {', '.join(OWN)}; default: all")
    parser.add_argument("--upgrade", action="store_true", help="upgrade the packages that requirements.txt does not name")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with an error if a lock is missing or out of date")
    options = parser.parse_args()
    try:
        layers = layers_of(options.names)
        if options.check:
            if problems := dict.fromkeys(problem for layer in layers for problem in layer.outdated()):
                raise BrokenEnvironmentError("\n".join(problems))
            return
        for layer in layers:
            print(f"{layer.lock}: {'locked' if lock(layer, upgrade=options.upgrade) else 'unchanged'}")
    except BrokenEnvironmentError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
