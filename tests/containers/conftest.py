"""An engine, an image registry, an embedded server and agents in docker mode, for all tests of this folder.

They are run by `make images-test`, not by `make test`: the first time, base images are made and pushed (ten minutes, 12 GB in the cache).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.engine import Containers, base_for, containers, missing

from harness.workload import Declaration, load
from registry.environment import ROOT, image_names

Finished = subprocess.CompletedProcess[str]
Registry = Callable[..., Finished]
PATIENCE = 1200.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", action="append", default=[], choices=image_names(), help="only this image; may be repeated")


def pytest_sessionstart(session: pytest.Session) -> None:
    """On SIGTERM, pytest ends what it has started, as with Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.getoption("--image") or image_names()
    if "image" in metafunc.fixturenames:
        metafunc.parametrize("image", chosen, scope="session")
    if "workload" in metafunc.fixturenames:
        found = [load(path.parent) for path in sorted((ROOT / "clearml_tasks").glob("*/workload.yaml"))]
        metafunc.parametrize("workload", [each for each in found if each.image in chosen], ids=lambda each: each.name, scope="session")


@pytest.fixture(scope="session")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    if lacking := missing():
        pytest.fail(f"an engine cannot be started without {', '.join(lacking)}: make env, as root")
    with containers(tmp_path_factory.mktemp("engine")) as running:
        yield running


def command(there: Containers, image: str, *arguments: str, check: bool = True, cwd: Path = ROOT, **variables: str) -> Finished:
    """Run the command `registry` with the stand-in base of an image."""
    environment = there.environment | {"BASE_IMAGE": base_for(image, there)} | variables
    line = [sys.executable, "-m", "registry", *arguments]
    done = subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert not check or done.returncode == 0, f"registry {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def built(there: Containers) -> Callable[[str], None]:
    """Builds an image of the current environment and pushes it, once."""
    done: set[str] = set()

    def build(image: str) -> None:
        if image not in done:
            command(there, image, "image", "build", image, "--network", "host", "--force")
            command(there, image, "image", "push", "--force", image)  # the registry may keep what an earlier run of the tests built
            done.add(image)

    return build


@pytest.fixture(scope="module")
def registry(there: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The command `registry` in a state folder of the module's own: `registry("tabletop", "enqueue", ..)`; the first word is the image."""
    run = partial(command, there, REGISTRY_HOME=str(tmp_path_factory.mktemp("registry")))
    yield run
    run("tabletop", "down")


@pytest.fixture(scope="module")
def agents(registry: Registry) -> None:
    """The embedded server, and one agent that runs each task in a container."""
    registry("tabletop", "up", "--docker", "--port", "0")


@pytest.fixture(scope="module")
def data(registry: Registry, built: Callable[[str], None], agents: None) -> Callable[[Declaration], None]:
    """Makes the datasets that a workload's smoke run needs."""
    from registry import catalog

    aliases = catalog.load(ROOT)

    def ensure(workload: Declaration) -> None:
        for step in workload.smoke:
            for key, value in step.items():
                if key in workload.datasets and value in aliases:
                    maker = load(ROOT / "clearml_tasks" / aliases[value].workload).image
                    built(maker)
                    registry(maker, "dataset", "ensure", value)

    return ensure
