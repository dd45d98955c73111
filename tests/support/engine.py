"""A container engine, an image registry and a base image of the tests' own.

The engine and the registry are Debian's (docker.io, docker-registry), started on loopback and ended by process id. What they
hold is kept in the cache, so that a second run finds its layers; one test run at a time uses them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.environment import ROOT, cache_folder, locked, on_torch

PROGRAMS = ("dockerd", "docker-registry", "mmdebstrap", "docker")
LIMITS = {"nofile": 16384, "nproc": 32768}  # higher ones are refused where the machine is itself a sandbox
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PATIENCE = 60.0
KEPT_IN_REGISTRY = 12e9  # bytes
KEPT_BY_BUILDER = "12gb"


@dataclass(frozen=True)
class Containers:
    """A running engine, and the image registry beside it."""

    environment: dict[str, str]
    """For everything that talks to them: DOCKER_HOST and IMAGE_REGISTRY among it."""
    place: str
    """HOST/NAMESPACE of the registry."""

    def docker(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(["docker", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()


def missing() -> list[str]:
    """What is not there to start an engine with."""
    lacking = [program for program in PROGRAMS if shutil.which(program, path=search_path()) is None]
    return lacking + ([] if os.geteuid() == 0 else ["root's rights"])


def search_path() -> str:
    """Debian's own docker first: other clients on a machine may lack the builder."""
    return f"/usr/bin:/usr/sbin:{os.environ['PATH']}"


@contextlib.contextmanager
def containers(folder: Path, registry_port: int | None = None) -> Iterator[Containers]:
    """Start engine and registry; what they print goes to `folder`."""
    kept = cache_folder() / "engine"
    kept.mkdir(parents=True, exist_ok=True)
    with locked(kept / "engine.lock"), contextlib.ExitStack() as stack:
        port = registry_port or free_port()
        limit(kept / "registry")
        stack.enter_context(image_registry(kept / "registry", port, folder))
        socket_path = stack.enter_context(engine(kept / "data", folder))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "DOCKER_"))}
        environment |= {
            "PATH": search_path(),
            "DOCKER_HOST": f"unix://{socket_path}",
            "DOCKER_BUILDKIT": "1",
            "IMAGE_REGISTRY": f"127.0.0.1:{port}/team",
        }
        there = Containers(environment, f"127.0.0.1:{port}/team")
        try:
            yield there
        finally:
            tidy(there)


def limit(data: Path) -> None:
    """Begin anew with an image registry that has grown beyond its share of the disk."""
    if sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) > KEPT_IN_REGISTRY:
        shutil.rmtree(data)


def tidy(there: Containers) -> None:
    """Remove the images of this test run; the bases stay, and as much of the builder's cache as it may have."""
    listed = there.docker("image", "ls", "--all", "--format", "{{.ID}} {{.Repository}}", check=False).splitlines()
    of_run = {line.split()[0] for line in listed if not line.split()[1].startswith("stand-in-")}
    if of_run:
        there.docker("image", "rm", "--force", *of_run, check=False)
    there.docker("builder", "prune", "--force", f"--keep-storage={KEPT_BY_BUILDER}", check=False)


@contextlib.contextmanager
def engine(data: Path, folder: Path, **settings: object) -> Iterator[Path]:
    """A dockerd without a bridge, with further `settings` of daemon.json; gives its socket."""
    configuration = folder / "daemon.json"
    limits = {name: {"Name": name, "Hard": value, "Soft": value} for name, value in LIMITS.items()}
    configuration.write_text(json.dumps({"default-ulimits": limits, **settings}))
    run = folder / "run"
    address = folder / "docker.sock"
    command = [
        "dockerd",
        f"--config-file={configuration}",
        f"--data-root={data}",
        f"--exec-root={run}",
        f"--pidfile={folder / 'dockerd.pid'}",
    ]
    command += [f"--host=unix://{address}", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    try:
        with started(command, folder / "dockerd.log") as process:
            client = ["docker", "--host", f"unix://{address}", "version"]
            wait(process, lambda: subprocess.run(client, capture_output=True, env=os.environ | {"PATH": search_path()}).returncode == 0)
            yield address
    finally:
        subprocess.run(["umount", "--quiet", str(run / "netns" / "default")], capture_output=True)


@contextlib.contextmanager
def image_registry(
    data: Path, port: int, folder: Path, *, htpasswd: Path | None = None, address: str = "127.0.0.1", **settings: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's docker-registry; with `htpasswd` it asks for a name and a password. `settings` go into its configuration file."""
    log_in = {"auth": {"htpasswd": {"realm": "test", "path": str(htpasswd)}}} if htpasswd else {}
    stated = {
        "version": 0.1,
        "log": {"level": "warn"},
        **log_in,
        **settings,
        "storage": {"filesystem": {"rootdirectory": str(data)}, **settings.get("storage", {})},
        "http": {"addr": f"{address}:{port}", **settings.get("http", {})},
    }
    configuration = folder / "registry.yml"
    configuration.write_text(json.dumps(stated))  # JSON is YAML
    with started(["docker-registry", "serve", str(configuration)], folder / "registry.log") as process:
        wait(process, lambda: listens(address.strip("[]"), port))
        yield process


@contextlib.contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended by its id when the block is left."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | {"PATH": search_path()})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(process: subprocess.Popen[bytes], ready: object) -> None:
    assert callable(ready)
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, f"{process.args} ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args} does not answer"
        time.sleep(0.1)


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def base_for(image: str, there: Containers) -> str:
    """The base that stands in the tests for the one that an image's Dockerfile names: Debian, with torch where that one has it."""
    return torch_base(there) if on_torch(ROOT / "docker" / image) else debian_base(there)


def debian_base(there: Containers) -> str:
    """A minimal Debian with Python and git, made by mmdebstrap once per machine and kept as a file."""
    packages = "ca-certificates,python3,python3-pip,git"
    digest = hashlib.sha256(packages.encode() + CERTIFICATES.read_bytes()).hexdigest()[:12]
    name = f"stand-in-debian:{digest}"
    if there.docker("image", "ls", "--quiet", name):
        return name
    archive = cache_folder() / "engine" / f"base-{digest}.tar"
    if not archive.exists():
        beside = archive.with_suffix(".new.tar")
        hook = f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}"  # by which this machine reaches its registries
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", hook, "bookworm", str(beside)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PATH": search_path()})
        beside.replace(archive)
    there.docker("import", "--change", f"ENV PIP_CERT={CERTIFICATES} PIP_BREAK_SYSTEM_PACKAGES=1", str(archive), name)
    return name


def torch_base(there: Containers) -> str:
    """The Debian base with the torch of the bare environments."""
    below = debian_base(there)
    lock = ROOT / "docker/torch/requirements.lock"
    name = f"stand-in-torch:{hashlib.sha256(below.encode() + lock.read_bytes()).hexdigest()[:12]}"
    if not there.docker("image", "ls", "--quiet", name):
        dockerfile = (
            f"FROM {below}\nCOPY requirements.lock /tmp/\n"
            "RUN python3 -m pip install --no-cache-dir --no-compile --no-deps -r /tmp/requirements.lock\n"
        )
        command = ["docker", "build", "--network=host", f"--tag={name}", "--file=-", str(lock.parent)]
        subprocess.run(command, input=dockerfile, text=True, check=True, capture_output=True, env=there.environment)
    return name
