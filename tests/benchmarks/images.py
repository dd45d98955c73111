"""Images: their size by layer, how long a build takes cold and warm, and how soon a task runs in one under the agent in docker mode.

The bases are the tests' stand-ins (Debian; Debian with torch), so sizes and times are those of what stands on them. The
alternative for the start-up is a plain image as its maker gives it away: Python and pip, as in python:3.11-slim. There the agent
installs git and makes the environment, as it does by itself, for a task that needs no more than the SDK.

    PYTHONPATH=tests python -m benchmarks.images         # also writes docs/benchmarks/images.md; IMAGE=clip: of that one alone
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from support.engine import Containers, base_for, containers, debian_base
from support.toy import make_repository

from benchmarks.page import write_page
from benchmarks.table import Row, less_is_better, markdown_table, record
from harness.image import environment
from registry.environment import ROOT, image_names

ROUNDS = 3
PATIENCE = 600.0
SCRIPT = 'import time\n\nimport clearml\n\nprint("script runs at", time.time(), clearml.__version__, flush=True)\n'
LAYERS = {
    "Debian's packages": r"debian\.sh",
    "the harness's": r"python\.sh /setup/requirements\.lock",
    "its own": r"python\.sh /setup/(?!requirements\.)[\w.-]+\.lock",
    "code": r"COPY (configs|src|clearml_tasks|docker/\w+) ",
}
"""The steps of a Dockerfile that take room, by what `docker history` says of each."""
PLAIN = "stand-in-plain:latest"
TEXT = """
The size of each image by layer (MB, unpacked), how long a build takes, and how soon a task runs in it (s). The bases are stand-ins (Debian,
and Debian with torch) for python:3.11-slim and NVIDIA's PyTorch image.

- A cold build has only its base; a warm build follows a change of the code.
- The start-up lasts from the agent's `docker run` to the first line of a script that imports the SDK, median of {rounds}.
- The alternative is a plain image with nothing but Python and pip, where the agent installs git and the SDK at every start: the first time
  with all downloads, later (median of {rounds}) from its cache. The ratio compares with the later starts.

The benchmark needs root and takes about half an hour; `IMAGE=clip` measures one image alone.
"""


@dataclass(frozen=True)
class Measured:
    """One image."""

    image: str
    sizes: dict[str, int]
    """Bytes by layer."""
    cold: float
    warm: float
    start: float


def main() -> None:
    images = [chosen] if (chosen := os.environ.get("IMAGE")) else image_names()
    with tempfile.TemporaryDirectory() as scratch, containers(Path(scratch)) as there, Starts(there, Path(scratch)) as starts:
        found = [measured(image, there, starts) for image in images]
        first, *later = [starts.plain() for _ in range(ROUNDS + 1)]
    plain = statistics.median(later)
    record("images", [row for each in found for row in rows_of(each, plain)])
    write_page("images", TEXT.format(rounds=ROUNDS), {"": f"{sizes_in(found)}\n\n{times_of(found, first, plain)}"})


def sizes_in(found: list[Measured]) -> str:
    """MB by layer."""
    lines = [[each.image, *(f"{size / 1e6:,.0f}" for size in (sum(each.sizes.values()), *each.sizes.values()))] for each in found]
    return markdown_table(["image", "size, MB", "base", *LAYERS], lines)


def times_of(found: list[Measured], first: float, plain: float) -> str:
    """Seconds."""
    columns = ["image", "build, cold, s", "build, warm", "start-up", "plain image, first", "plain image, later", "ratio"]
    times = [(each.cold, each.warm, each.start, first, plain, plain / each.start) for each in found]
    lines = [[each.image, *(f"{value:.3g}" for value in values)] for each, values in zip(found, times, strict=True)]
    return markdown_table(columns, lines)


def rows_of(each: Measured, plain: float) -> list[Row]:
    size, base = sum(each.sizes.values()), each.sizes["base"]
    return [
        less_is_better(f"{each.image}: size", size / 1e9, None, "GB", f"of which {base / 1e9:.2f} GB are the stand-in base"),
        less_is_better(f"{each.image}: build, cold", each.cold, None, "s", "the base is there already"),
        less_is_better(f"{each.image}: build after a change of the code", each.warm, each.cold, "s", "the alternative is the cold build"),
        less_is_better(
            f"{each.image}: start-up", each.start, plain, "s", "to the first line of the script; the alternative is a plain image"
        ),
    ]


def measured(image: str, there: Containers, starts: Starts) -> Measured:
    """Bytes by layer, seconds to build from nothing but the base and again after a change of the code, and to start a task."""
    base = base_for(image, there)
    name = f"bench/{image.lower()}:env"
    command = ["build", "--network=host", f"--file={ROOT / 'docker' / image / 'Dockerfile'}", f"--build-arg=BASE_IMAGE={base}"]
    command += [f"--tag={name}"]
    cold = timed(there, [*command, "--no-cache", str(ROOT)])
    probe = ROOT / "configs" / "bench.tmp"
    probe.write_text(str(time.time()))  # stands for a change of the code: the layers from there on are made again
    try:
        warm = timed(there, [*command, str(ROOT)])
    finally:
        probe.unlink()
    sizes = sizes_of(name, base, there)
    there.docker("image", "rm", name)
    return Measured(image, sizes, cold, warm, starts.of(image, base))


def sizes_of(name: str, base: str, there: Containers) -> dict[str, int]:
    """Bytes by layer, the base's first."""
    told = there.docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", name)
    steps = [line.partition(" ")[::2] for line in told.splitlines()]
    sizes = {"base": int(there.docker("image", "inspect", "--format", "{{.Size}}", base))}
    for layer, pattern in LAYERS.items():
        sizes[layer] = sum(int(size) for size, made_by in steps if re.search(pattern, made_by))
    whole = int(there.docker("image", "inspect", "--format", "{{.Size}}", name))
    assert abs(whole - sum(sizes.values())) < 1e6, f"{name}: {whole} bytes, of which {sizes} are accounted for"
    return sizes


def timed(there: Containers, command: list[str]) -> float:
    started = time.perf_counter()
    there.docker(*command)
    return time.perf_counter() - started


class Starts:
    """An embedded server and an agent in docker mode, by which a script is started; a context manager."""

    def __init__(self, there: Containers, scratch: Path) -> None:
        self.there = there
        self.root = scratch / "clone"
        make_repository(self.root)
        (self.root / "hello.py").write_text(SCRIPT)
        for arguments in (["add", "hello.py"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "hello"]):
            subprocess.run(["git", "-C", self.root, *arguments], check=True)
        self.variables = there.environment | {"REGISTRY_HOME": str(scratch / "home")}

    def __enter__(self) -> Starts:
        self.registry(self.root, "up", "--docker", "--port", "0")
        self.variables["CLEARML_CONFIG_FILE"] = str(Path(self.variables["REGISTRY_HOME"]) / "server/clearml.conf")
        return self

    def __exit__(self, *_: object) -> None:
        self.registry(self.root, "down")

    def registry(self, folder: Path, *arguments: str, **variables: str) -> None:
        command = [sys.executable, "-m", "registry", *arguments]
        subprocess.run(command, cwd=folder, env=self.variables | variables, check=True, capture_output=True)

    def of(self, image: str, base: str) -> float:
        """Seconds from the agent's `docker run` to the first line of the script, median."""
        self.registry(ROOT, "image", "build", image, "--network", "host", "--force", BASE_IMAGE=base)
        name = f"{self.there.place}/{image.lower()}:{environment(ROOT, image, base)}"
        ready = ["--skip-task-init", "--force-no-requirements", "--skip-python-env-install"]
        return statistics.median(start_up(self.root, name, ready, self.variables) for _ in range(ROUNDS))

    def plain(self) -> float:
        """The same in a plain image."""
        dockerfile = f"FROM {debian_base(self.there)}\nRUN apt-get purge -y git && apt-get autoremove -y\n"
        command = ["docker", "build", "--network=host", f"--tag={PLAIN}", "-"]
        subprocess.run(command, input=dockerfile, text=True, check=True, capture_output=True, env=self.there.environment)
        return start_up(self.root, PLAIN, ["--skip-task-init", "--packages", "clearml"], self.variables)


def start_up(root: Path, image: str, options: list[str], variables: dict[str, str]) -> float:
    """Run the script once through queue, agent and container."""
    typed = ["--project", "clearml-example-project", "--name", "start-up", "--queue", "gpu01", "--docker", image, *options]
    typed += ["--repo", root.as_uri(), "--branch", "main", "--script", "hello.py"]
    command = [str(Path(sys.executable).with_name("clearml-task")), *typed]
    subprocess.run(command, cwd=root, env=variables, check=True, capture_output=True)
    registry = [sys.executable, "-m", "registry"]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = subprocess.run([*registry, "status", "--json"], cwd=root, env=variables, check=True, capture_output=True, text=True).stdout
        task = json.loads(found)[0]
        if task["status"] in {"completed", "failed"}:
            assert task["status"] == "completed", task
            return seconds_between(task["id"], variables)
        time.sleep(2)
    raise TimeoutError(f"{image}: the script has not run within {PATIENCE:.0f} s")


def seconds_between(task: str, variables: dict[str, str]) -> float:
    """From the log: when the agent started the container, and what time it was in the script."""
    program = (
        "import json, sys\nfrom clearml.backend_api.session.client import APIClient\n"
        "events = APIClient().events.get_task_log(task=sys.argv[1], batch_size=5000, order='asc').events\n"
        "print(json.dumps([[event['timestamp'], event['msg']] for event in events]))"
    )
    done = subprocess.run([sys.executable, "-c", program, task], env=variables, check=True, capture_output=True, text=True)
    lines = json.loads(done.stdout)
    started = next(stamp for stamp, text in lines if text.startswith("Executing: ['docker'")) / 1000
    running = next(float(found[1]) for _, text in lines if (found := re.search(r"script runs at ([\d.]+)", text)))
    return running - started


if __name__ == "__main__":
    main()
