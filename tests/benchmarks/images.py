"""Images: their size, how long a build takes cold and warm, and how soon a task runs in one under the agent in docker mode.

The bases are the tests' stand-ins (Debian; Debian with torch), so sizes and times are those of what stands on them. The
alternative for the start-up is a plain image with Python, pip and git in which the agent makes the environment, as it does by
itself, for a task that needs no more than the SDK.

    PYTHONPATH=tests python -m benchmarks.images
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.engine import Containers, base_for, containers, debian_base
from support.toy import make_repository

from benchmarks.table import Row, less_is_better, publish
from harness.image import environment
from registry.environment import ROOT, image_names

ROUNDS = 3
PATIENCE = 600.0
SCRIPT = 'import time\n\nimport clearml\n\nprint("script runs at", time.time(), clearml.__version__, flush=True)\n'


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as scratch, containers(Path(scratch)) as there:
        for image in image_names():
            rows += build_rows(image, there)
        rows.append(start_up_row(there, Path(scratch)))
    publish("images", rows)


def build_rows(image: str, there: Containers) -> list[Row]:
    """Size, and seconds to build from nothing but the base, and again after a change of the code."""
    base = base_for(image, there)
    name = f"bench/{image.lower()}:env"
    command = [
        "build",
        "--network=host",
        f"--file={ROOT / 'docker' / image / 'Dockerfile'}",
        f"--build-arg=BASE_IMAGE={base}",
        f"--tag={name}",
    ]
    cold = timed(there, [*command, "--no-cache", str(ROOT)])
    probe = ROOT / "configs" / "bench.tmp"
    probe.write_text(str(time.time()))  # stands for a change of the code: the layers from there on are made again
    try:
        warm = timed(there, [*command, str(ROOT)])
    finally:
        probe.unlink()
    size, below = (int(there.docker("image", "inspect", "--format", "{{.Size}}", each)) for each in (name, base))
    there.docker("image", "rm", name)
    what = "stand-in base with torch" if "torch" in base else "stand-in base"
    return [
        less_is_better(f"{image}: size", size / 1e9, None, f"GB, of which {below / 1e9:.2f} the {what}"),
        less_is_better(f"{image}: build, cold", cold, None, "s, the base being there"),
        less_is_better(f"{image}: build after a change of the code", warm, cold, "s; the alternative is the cold build"),
    ]


def timed(there: Containers, command: list[str]) -> float:
    started = time.perf_counter()
    there.docker(*command)
    return time.perf_counter() - started


def start_up_row(there: Containers, scratch: Path) -> Row:
    """Seconds from the agent's `docker run` to the first line of the script, median; both images in turn."""
    root = scratch / "clone"
    make_repository(root)
    (root / "hello.py").write_text(SCRIPT)
    for arguments in (["add", "hello.py"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "hello"]):
        subprocess.run(["git", "-C", root, *arguments], check=True)
    variables = there.environment | {"REGISTRY_HOME": str(scratch / "home"), "BASE_IMAGE": debian_base(there)}
    registry = [sys.executable, "-m", "registry"]
    subprocess.run(
        [*registry, "image", "build", "tabletop", "--network", "host", "--force"], cwd=ROOT, env=variables, check=True, capture_output=True
    )
    prepared = f"{there.place}/tabletop:{environment(ROOT, 'tabletop', variables['BASE_IMAGE'])}"
    subprocess.run([*registry, "up", "--docker", "--port", "0"], cwd=root, env=variables, check=True, capture_output=True)
    variables["CLEARML_CONFIG_FILE"] = str(scratch / "home/server/clearml.conf")
    ready = ["--skip-task-init", "--force-no-requirements", "--skip-python-env-install"]
    bare = ["--skip-task-init", "--packages", "clearml"]
    try:
        seconds: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(ROUNDS):
            seconds["ours"].append(start_up(root, prepared, ready, variables))
            seconds["bare"].append(start_up(root, variables["BASE_IMAGE"], bare, variables))
    finally:
        subprocess.run([*registry, "down"], cwd=root, env=variables, check=True, capture_output=True)
    ours, alternative = (statistics.median(each) for each in (seconds["ours"], seconds["bare"]))
    return less_is_better(
        "agent in docker mode: start-up", ours, alternative, "s to the script's first line; the alternative is a bare image"
    )


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
