"""Smoke runs: each workload's example script, through a server and an agent of its own.

tests/smoke.py clip tabletop            # these
tests/smoke.py --changed [--budget S]   # those whose inputs have no green stamp in the cache
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from harness.workload import Declaration, load
from registry.environment import cache_folder

ROOT = Path(__file__).resolve().parents[1]
BUDGET = 40 * 60.0
SHARED = ("registry", "src/harness", "src/local_server", "docker/harness", "requirements.txt")


def declarations() -> dict[str, Declaration]:
    return {path.parent.name: load(path.parent) for path in sorted((ROOT / "clearml_tasks").glob("*/workload.yaml"))}


def inputs(declaration: Declaration) -> Iterable[Path]:
    """Every file that a workload's smoke run depends on, by git's list: its own, its packages', and what all share."""
    packages = {command.config.partition(".")[0] for command in declaration.commands.values()}
    own = [
        f"clearml_tasks/{declaration.name}",
        f"configs/{declaration.name}",
        f"docker/{declaration.image}",
        f"example/{declaration.name}.sh",
    ]
    code = [f"src/{package}" for package in packages | {"training", "tabletop"}]
    listed = subprocess.run(["git", "ls-files", "-z", *SHARED, *own, *code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return (ROOT / name for name in sorted(listed.split("\0")) if name)


def stamp(declaration: Declaration) -> Path:
    """The file outside the checkout that says: with these inputs the smoke run was green."""
    digest = hashlib.sha256(sys.version.encode())
    for path in inputs(declaration):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return cache_folder() / "stamps" / f"smoke-{declaration.name}-{digest.hexdigest()[:16]}"


def smoke(names: Iterable[str], deadline: float) -> dict[str, str]:
    """Run the example scripts on a server of their own, and say of each how it went."""
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="smoke-") as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")} | {"REGISTRY_HOME": home}
        registry = [sys.executable, "-m", "registry"]
        subprocess.run([*registry, "up", "--port", "0"], cwd=ROOT, env=environment, check=True)
        try:
            for name in names:
                left = deadline - time.monotonic()
                if left <= 0:
                    results[name] = "skipped: the time budget is spent"
                    continue
                results[name] = run(name, environment, left)
        finally:
            subprocess.run([*registry, "down"], cwd=ROOT, env=environment, check=True)
    return results


def run(name: str, environment: dict[str, str], seconds: float) -> str:
    started = time.monotonic()
    try:
        done = subprocess.run(["bash", f"example/{name}.sh"], cwd=ROOT, env=environment, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"skipped: not finished when the time budget was spent ({seconds:.0f} s)"
    if done.returncode:
        return f"FAILED with exit code {done.returncode}"
    return f"passed in {time.monotonic() - started:.0f} s"


def main() -> None:
    known = declarations()
    parser = argparse.ArgumentParser(description="Smoke runs of workloads.")
    parser.add_argument("names", nargs="*", choices=[*known, []], metavar="WORKLOAD", help=", ".join(known))
    parser.add_argument("--changed", action="store_true", help="those whose inputs have no green stamp")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="S", help="seconds after which the rest is skipped")
    options = parser.parse_args()
    stamps = {name: stamp(declaration) for name, declaration in known.items()}
    names = [name for name in known if not stamps[name].exists()] if options.changed else options.names
    results = smoke(names, time.monotonic() + options.budget) if names else {}
    for name, result in results.items():
        if result.startswith("passed"):
            stamps[name].parent.mkdir(parents=True, exist_ok=True)
            stamps[name].touch()
    for name in known:
        print(f"smoke/{name}: {results.get(name, 'unchanged since its last green run')}", flush=True)
    failed = sum(result.startswith("FAILED") for result in results.values())
    skipped = sum(result.startswith("skipped") for result in results.values())
    print(f"{len(results) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
