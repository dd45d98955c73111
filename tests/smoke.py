"""Smoke runs: each workload's example script, through a server and an agent of its own; with --changed also the images.

tests/smoke.py clip tabletop            # these
tests/smoke.py --changed [--budget S]   # those, and those images, whose inputs have no green stamp in the cache

After the tasks of a workload come, here and now, the further runs that `support.reads` tells of; a setting that neither reads is a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.image import tools
from support.reads import further, unread

from harness import reads
from harness.launch import image_python
from harness.workload import Declaration, load
from registry.environment import cache_folder, image_names

ROOT = Path(__file__).resolve().parents[1]
BUDGET = 40 * 60.0
SHARED = ("registry", "src/harness", "src/local_server", "docker/harness", "requirements.txt", "tests/support/reads.py")
OF_IMAGES = ("docker/setup", "docker/torch", "tests/containers", "tests/support/engine.py", "tests/packages.txt")
GRACE = 120.0  # seconds that a test run has to end its engine, server and agents


def declarations() -> dict[str, Declaration]:
    return {path.parent.name: load(path.parent) for path in sorted((ROOT / "clearml_tasks").glob("*/workload.yaml"))}


def inputs(declaration: Declaration) -> set[str]:
    """What a workload's smoke run depends on: its own files, its packages', and what all share."""
    commands = declaration.commands.values()
    packages = {command.config.partition(".")[0] for command in commands if command.config}
    scripts = {command.script.path for command in commands if command.script and not command.script.repository}
    own = (
        f"clearml_tasks/{declaration.name}",
        f"configs/{declaration.name}",
        f"docker/{declaration.image}",
        f"example/{declaration.name}.sh",
        further(declaration.name).relative_to(ROOT).as_posix(),
    )
    return {*SHARED, *own, *scripts, *(f"src/{package}" for package in packages | {"tabletop"})}


def stamp(name: str, paths: Iterable[str]) -> Path:
    """The file outside the checkout that says: with these files, by git's list, the run of that name was green."""
    listed = subprocess.run(["git", "ls-files", "-z", *paths], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(filter(None, listed.split("\0"))):
        digest.update(f"\0{path}\0".encode() + (ROOT / path).read_bytes())
    return cache_folder() / "stamps" / f"{name}-{digest.hexdigest()[:16]}"


def stamps(workloads: Mapping[str, Declaration]) -> dict[str, Path]:
    """The stamp of each run that there is: `smoke/<workload>` and `image/<image>`."""
    found = {f"smoke/{name}": stamp(f"smoke-{name}", inputs(declaration)) for name, declaration in workloads.items()}
    for image in image_names(ROOT):
        users = [inputs(declaration) for declaration in workloads.values() if declaration.image == image]
        found[f"image/{image}"] = stamp(f"image-{image}", {f"docker/{image}", *SHARED, *OF_IMAGES}.union(*users))
    return found


def try_images(names: Iterable[str], deadline: float) -> dict[str, str]:
    """Build, push, pull and use images the way `make images-test` does, and say of each how it went."""
    from support.engine import missing

    started, left = time.monotonic(), deadline - time.monotonic()
    if lacking := missing():
        return dict.fromkeys(names, f"skipped: there is no {', '.join(lacking)}")
    if left <= 0:
        return dict.fromkeys(names, "skipped: the time budget is spent")
    chosen = [option for name in names for option in ("--image", name)]
    process = subprocess.Popen([sys.executable, "-m", "pytest", "tests/containers", *chosen], cwd=ROOT)
    try:
        code = process.wait(left)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(GRACE)
        return dict.fromkeys(names, f"skipped: not finished when the time budget was spent ({left:.0f} s)")
    took = time.monotonic() - started
    return dict.fromkeys(names, f"FAILED with exit code {code}" if code else f"passed, all images together in {took:.0f} s")


def smoke(names: Iterable[str], deadline: float) -> dict[str, str]:
    """Run the example scripts on a server of their own, and say of each how it went."""
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="smoke-") as home:
        own = {"REGISTRY_HOME": home, reads.FOLDER: f"{home}/reads"}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")} | own
        registry = [sys.executable, "-m", "registry"]
        subprocess.run([*registry, "up", "--port", "0"], cwd=ROOT, env=environment, check=True)
        try:
            for name in names:
                left = deadline - time.monotonic()
                if left <= 0:
                    results[name] = "skipped: the time budget is spent"
                    continue
                results[name] = run(declarations()[name], environment, left)
        finally:
            subprocess.run([*registry, "down"], cwd=ROOT, env=environment, check=True)
    return results


def run(declaration: Declaration, environment: dict[str, str], seconds: float) -> str:
    """A workload's tasks and further runs, and whether between them they read every setting."""
    started, name = time.monotonic(), declaration.name
    try:
        done = subprocess.run(["bash", f"example/{name}.sh"], cwd=ROOT, env=environment, timeout=seconds)
        if done.returncode == 0 and further(name).exists():
            done = run_further(declaration, environment, seconds - (time.monotonic() - started))
    except subprocess.TimeoutExpired:
        return f"skipped: not finished when the time budget was spent ({seconds:.0f} s)"
    if done.returncode:
        return f"FAILED with exit code {done.returncode}"
    if problems := list(unread(declaration, Path(environment[reads.FOLDER]))):
        return "".join(["FAILED: settings are dead, or declared wrongly", *(f"\n    {problem}" for problem in problems)])
    return f"passed in {time.monotonic() - started:.0f} s"


def run_further(declaration: Declaration, environment: dict[str, str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    python = image_python(declaration.image, ROOT, environment)
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", ROOT, tools())))
    with tempfile.TemporaryDirectory(prefix="further-") as folder:
        command = [python, "-m", "support.reads", declaration.name, folder]
        return subprocess.run(command, cwd=ROOT, env=environment | {"PYTHONPATH": path}, timeout=seconds)


def main() -> None:
    known = declarations()
    parser = argparse.ArgumentParser(description="Smoke runs of workloads.")
    parser.add_argument("names", nargs="*", choices=[*known, []], metavar="WORKLOAD", help=", ".join(known))
    parser.add_argument("--changed", action="store_true", help="those whose inputs have no green stamp")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="S", help="seconds after which the rest is skipped")
    options = parser.parse_args()
    marks = stamps(known)
    deadline = time.monotonic() + options.budget
    runs = [run for run, mark in marks.items() if not mark.exists()] if options.changed else [f"smoke/{name}" for name in options.names]
    results: dict[str, str] = {}
    for kind, of_kind in (("smoke", smoke), ("image", try_images)):
        names = [run.removeprefix(f"{kind}/") for run in runs if run.startswith(f"{kind}/")]
        results |= {f"{kind}/{name}": result for name, result in (of_kind(names, deadline) if names else {}).items()}
    for run, result in results.items():
        if result.startswith("passed"):
            marks[run].parent.mkdir(parents=True, exist_ok=True)
            marks[run].touch()
    for run in marks if options.changed else runs:
        print(f"{run}: {results.get(run, 'unchanged since its last green run')}", flush=True)
    failed = sum(result.startswith("FAILED") for result in results.values())
    skipped = sum(result.startswith("skipped") for result in results.values())
    print(f"{len(results) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
