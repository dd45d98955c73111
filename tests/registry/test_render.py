"""Rendered files: they follow the declarations, are noticed when they do not, and do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.command_line import Registry, git, parse_clearml_task

from registry.workload import discover

ROOT = Path(__file__).resolve().parents[2]
CATALOG = """\
toy-numbers:
  summary: a few numbers
  build: {workload: toy, command: make, n: 3}
"""
RECORDER = """\
#!/usr/bin/env python3
import json, os, sys
with open(os.environ["RECORD"], "a") as record:
    record.write(json.dumps([os.getcwd(), *sys.argv[1:]]) + "\\n")
sys.exit(int(os.environ.get("EXIT", "0")))
"""


@pytest.fixture
def rendered(clone: Path, registry: Registry) -> Path:
    """The clone with a Dockerfile, a catalog whose alias the smoke steps need, and its files rendered."""
    (clone / "registry").mkdir()
    (clone / "registry/catalog.yaml").write_text(CATALOG)
    (clone / "docker/toy/Dockerfile").write_text("ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\nFROM ${BASE_IMAGE}\n")
    declaration = clone / "clearml_tasks/toy/workload.yaml"
    declaration.write_text(declaration.read_text().replace('"task:make"', "toy-numbers"))
    assert registry("render").code == 0
    return clone


def test_a_stale_file_is_named(rendered: Path, registry: Registry) -> None:
    assert registry("render", "--check").code == 0
    declaration = rendered / "clearml_tasks/toy/workload.yaml"
    declaration.write_text(declaration.read_text().replace("gpu01", "gpu02"))
    (rendered / "example/gone.sh").write_text((rendered / "example/toy.sh").read_text())
    (rendered / "example/by hand.sh").write_text("#!/bin/sh\n")
    outcome = registry("render", "--check")
    assert outcome.code == 1
    assert "example/toy.sh, example/gone.sh" in outcome.err
    assert registry("render").code == 0
    assert registry("render", "--check").code == 0
    assert not (rendered / "example/gone.sh").exists()
    assert (rendered / "example/by hand.sh").exists()


class TestExample:
    @pytest.fixture
    def script(self, rendered: Path) -> Path:
        (rendered / ".venv/bin").mkdir(parents=True)
        (rendered / ".venv/bin/registry").write_text(RECORDER)
        (rendered / ".venv/bin/registry").chmod(0o755)
        return rendered / "example/toy.sh"

    def run(self, script: Path, *arguments: str, **variables: str) -> tuple[int, list[list[str]]]:
        record = script.with_name("record")
        environment = {**os.environ, "RECORD": str(record), **variables}
        done = subprocess.run(["bash", script, *arguments], cwd="/", env=environment, capture_output=True)
        return done.returncode, [json.loads(line) for line in record.read_text().splitlines()]

    def test_it_ensures_the_datasets_and_enqueues_the_smoke_steps_from_any_folder(self, rendered: Path, script: Path) -> None:
        code, (ensure, enqueue) = self.run(script, "steps=4", "pause=0.5")
        assert code == 0
        assert ensure == [str(rendered), "dataset", "ensure", "toy-numbers", "--queue", "gpu01"]
        expected = [
            "enqueue",
            "toy",
            "--smoke",
            "--wait",
            "--queue",
            "gpu01",
            "--project",
            "clearml-example-project",
            "steps=4",
            "pause=0.5",
        ]
        assert enqueue == [str(rendered), *expected]

    def test_another_queue(self, script: Path) -> None:
        _, calls = self.run(script, QUEUE="my queue")
        assert all("my queue" in call for call in calls)

    def test_it_fails_where_a_command_fails(self, script: Path) -> None:
        code, calls = self.run(script, EXIT="2")
        assert (code, len(calls)) == (2, 1)

    def test_no_registry_command_is_said(self, rendered: Path) -> None:
        done = subprocess.run(["/bin/bash", rendered / "example/toy.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
        assert done.returncode == 1
        assert "there is no registry command" in done.stderr


def test_compose_has_a_service_per_image(rendered: Path) -> None:
    services = yaml.safe_load((rendered / "docker/compose.yaml").read_text())["services"]
    toy = services["toy"]
    assert toy["container_name"] == "toy"
    assert (rendered / "docker" / toy["build"]["context"] / toy["build"]["dockerfile"]).resolve() == rendered / "docker/toy/Dockerfile"
    assert toy["build"]["args"] == {"BASE_IMAGE": "${BASE_IMAGE:-nvcr.io/nvidia/pytorch:26.02-py3}"}
    assert toy["deploy"]["resources"]["reservations"]["devices"] == [{"driver": "nvidia", "capabilities": ["gpu"]}]
    assert all(volume.startswith("../") for volume in toy["volumes"])


def test_the_files_of_this_repository_are_up_to_date(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = registry("render", "--check")
    assert outcome.code == 0, outcome.err
    for script in git(ROOT, "ls-files", "example/*.sh").splitlines():
        subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("name", discover(ROOT))
def test_clearml_tasks_own_parser_reads_the_enqueue_of_every_example(
    name: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    outcome = registry("enqueue", name, "--smoke", "--dry-run")
    assert outcome.code == 0, outcome.err
    for line in outcome.lines:
        command = re.sub(r"^\w+_task=\$\((.*) \| sed .*\)$", r"\1", line)
        parsed = parse_clearml_task(command)
        assert parsed.script == f"clearml_tasks/{name}/clearml_train.py"
        assert (ROOT / parsed.script).exists()
