"""Checks whether an image can run its workloads. This file is the program that runs in the image, so it uses the standard library only.

    python3 - NAME PACKAGE...      # reads this file from standard input; NAME is the image, each PACKAGE one of ours that it runs

Its last line is a JSON list of problems. `problems_of` runs it in a container, the way clearml-agent starts a task.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

RESULT = "image check: "
ROOT = Path("/workspace")
OF_TORCH = "harness.torch."
"""Modules for workloads with PyTorch, which not every image has."""


def problems(name: str, packages: Iterable[str], root: Path = ROOT) -> Iterator[str]:
    """What prevents runs from working here, one line per problem."""
    yield from agent_problems()
    files = [root / "docker" / folder / "requirements.txt" for folder in ("harness", name)]
    for file in files:
        if not file.exists():
            yield f"{file} is missing: the image was not built from docker/{name}/Dockerfile"
            continue
        for line in file.read_text().splitlines():
            requirement, _, version = line.partition("==")
            if version and not line.startswith("#"):
                yield from requirement_problems(requirement.strip(), version.strip())
        yield from lock_problems(file.with_suffix(".lock"))
    for package in packages:
        yield from package_problems(package)


def agent_problems() -> Iterator[str]:
    """Checks for what clearml-agent would otherwise install at every start."""
    if shutil.which("git") is None:
        yield "git is missing: the agent would install it at every start"
    python = os.environ.get("LOCAL_PYTHON")
    if not python or shutil.which(python) is None:
        yield f"LOCAL_PYTHON={python or ''} names no interpreter: the agent would search for one, and may find another"
    if os.environ.get("CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL") != "1":
        yield "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL is not 1: the agent would build an environment inside the image"
    done = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True)
    found = re.match(r"pip (\d+)\.(\d+)", done.stdout)
    pip = (int(found[1]), int(found[2])) if found else None
    low, high = ((23, 0), (26, 0)) if sys.version_info >= (3, 12) else ((0, 0), (22, 3))
    if pip is None or not low <= pip < high:
        version = done.stdout.split(" from")[0].strip() or "missing"
        yield f"pip is {version}: the agent would replace it at every start (docker/setup/python.sh)"


def requirement_problems(requirement: str, version: str) -> Iterator[str]:
    """Problems of a requirement: it is missing, has another version, or cannot be imported."""
    if problems := list(version_problems(requirement, version)):
        yield from problems
        return
    modules = sorted(module for module, owners in OWNERS.items() if normal(requirement) in owners and not module.startswith("_"))
    main = [module for module in modules if normal(module) == normal(requirement)]
    for module in main or modules:  # only the module of the same name, if any: others may be plug-ins with further dependencies
        yield from importing(module, f"{requirement}=={version}")


def version_problems(package: str, version: str) -> Iterator[str]:
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        yield f"{package}=={version} is not installed"
        return
    if found != version:
        yield f"{package} is {found}, but the requirements say {version}"


def lock_problems(lock: Path) -> Iterator[str]:
    """Packages whose version differs from the lock's. Those that only some machines need are skipped."""
    for line in lock.read_text().splitlines() if lock.exists() else [f"{lock} is missing"]:
        package, sign, version = line.partition("==")
        if not sign and not line.startswith("#"):
            yield line
        elif sign and ";" not in line:
            yield from version_problems(package, version)


def package_problems(package: str) -> Iterator[str]:
    """Modules of one of our packages that cannot be imported."""
    failed = list(importing(package, "the project's code"))
    yield from failed
    if failed:
        return
    for module in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}.", onerror=lambda _: None):
        without_torch = module.name.startswith(OF_TORCH) and importlib.util.find_spec("torch") is None
        if not module.name.endswith("__main__") and not without_torch:
            yield from importing(module.name, "the project's code")


def importing(module: str, whose: str) -> Iterator[str]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001  an import may fail in any way, SystemExit included; each is reported
        last = traceback.format_exception_only(error)[-1].strip()
        yield f"import {module} ({whose}) fails: {last}"


def normal(name: str) -> str:
    """The name of a distribution, normalised as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


OWNERS = {module: {normal(name) for name in names} for module, names in importlib.metadata.packages_distributions().items()}


def problems_of(
    run: Callable[..., subprocess.CompletedProcess[str]], reference: str, name: str, packages: Iterable[str], options: list[str]
) -> list[str]:
    """Check an image: as root, and as an ordinary user who can write only to /tmp.

    Args:
        run: `Engine.run`.
        options: options of `docker run`.
    """
    program = Path(__file__).read_text()
    script = f"${{LOCAL_PYTHON:-python3}} - {name} {' '.join(packages)} <<'PROGRAM'\n{program}\nPROGRAM"
    found = []
    somebody = ["--user=65534:65534", "--env=HOME=/tmp", "--read-only", "--tmpfs=/tmp"]
    for who, added in (("", []), ("as user 65534, read-only: ", somebody)):
        done = run(reference, ["bash", "-c", script], [*options, *added])
        lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
        if lines:
            found += [who + problem for problem in json.loads(lines[-1].removeprefix(RESULT))]
        elif done.returncode == 0:
            found.append(
                f"{who}the command did not run: the image must not have an ENTRYPOINT, which would also swallow the agent's script"
            )
        else:
            told = " ".join((done.stderr or done.stdout).split())[-400:]
            found.append(f"{who}the container ended with exit code {done.returncode}: {told}")
    return [problem for index, problem in enumerate(found) if problem not in found[:index]]


if __name__ == "__main__":
    print(RESULT + json.dumps(list(problems(sys.argv[1], sys.argv[2:]))))
