"""Locks: every package of an environment with its version, those included that nobody named.

A `requirements.txt` names what a layer is for. What these packages need in turn is found by uv, for all machines that images run on, and
written beside it as `requirements.lock`. Installed is the lock: an environment of one hash holds the same packages on every day. A lock
lists what its layer adds to the layers below it, or has in another version; what an image's base brings is fixed by the base.

    make lock                                       # after a change of a requirements.txt; other packages keep their versions
    python -m registry.locks --upgrade clip         # also the newest versions of the packages that it does not name
    python -m registry.locks --check                # whether one is older than its requirements
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
"""Python version that all packages must support."""
MACHINES: Sequence[Mapping[str, str]] = [
    {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine, "sys_platform": "linux"}
    for version in (OLDEST, "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]
"""Where images run, as PEP 508's markers ask for it."""


def lock(layer: Layer, *, upgrade: bool = False) -> bool:
    """Write a layer's lock, and tell whether it has changed. The layers below it must be locked.

    Raises:
        BrokenEnvironmentError: the requirements cannot be fulfilled together, or not without another torch than the base's.
    """
    below = [line for lower in layer.below for line in pins(lower.lock)]
    kept = [] if upgrade or not layer.lock.exists() else pins(layer.lock)
    found = [line for line in map(on_our_machines, resolved(layer, [*below, *kept])) if line]
    added = [line for line in found if line not in below]
    if any(lower.name == "torch" for lower in layer.below) and (torch := [line for line in added if line.startswith("torch==")]):
        raise BrokenEnvironmentError(f"environment {layer.name}: its packages want {torch[0]}, which is not its base's")
    before = layer.lock.read_text() if layer.lock.exists() else None
    layer.lock.write_text("\n".join([layer.lock_header, *added]) + "\n")
    return layer.lock.read_text() != before


def resolved(layer: Layer, preferred: Iterable[str]) -> list[str]:
    """All that a layer's requirements need, a line each, in the preferred versions where that can be."""
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
    """A pin without a marker that always holds where images run; nothing if it never does."""
    pin = Requirement(line)
    holds = [pin.marker is None or pin.marker.evaluate(dict(machine)) for machine in MACHINES]
    return line if any(holds) and not all(holds) else f"{pin.name}{pin.specifier}" if all(holds) else ""


def layers_of(names: Sequence[str]) -> list[Layer]:
    """Layers in an order in which each comes after those below it; by default all."""
    wanted = [layer_named(name) for name in names or [*OWN, *image_names()]]
    return sorted(wanted, key=lambda layer: len(layer.below))


def main() -> None:
    parser = argparse.ArgumentParser(description="Lock the packages of environments.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"images, or {', '.join(OWN)}; by default all")
    parser.add_argument("--upgrade", action="store_true", help="newest versions of what requirements.txt does not name")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a lock is missing or older than its requirements")
    options = parser.parse_args()
    try:
        layers = layers_of(options.names)
        if options.check:
            if problems := dict.fromkeys(problem for layer in layers for problem in layer.outdated()):
                raise BrokenEnvironmentError("\n".join(problems))
            return
        for layer in layers:
            print(f"{layer.lock}: {'locked' if lock(layer, upgrade=options.upgrade) else 'as it was'}")
    except BrokenEnvironmentError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
