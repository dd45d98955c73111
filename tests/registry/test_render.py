"""Rendered files: they follow the declarations, are reported when outdated, and work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
    """The clone with a Dockerfile, a catalogue with an alias that the smoke steps need, and rendered files."""
    (clone / "registry").mkdir()
    (clone / "registry/catalog.yaml").write_text(CATALOG)
    (clone / "docker/toy/Dockerfile").write_text("ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\nFROM ${BASE_IMAGE}\n")
    declaration = clone / "clearml_tasks/toy/workload.yaml"
    declaration.write_text(declaration.read_text().replace('"task:make"', "toy-numbers"))
    assert registry("render").code == 0
    return clone


def write_dockerfile(clone: Path, image: str, text: str) -> Path:
    path = clone / "docker" / image / "Dockerfile"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


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

    def test_it_fails_if_a_command_fails(self, script: Path) -> None:
        code, calls = self.run(script, EXIT="2")
        assert (code, len(calls)) == (2, 1)

    def test_a_missing_registry_command_is_an_error(self, rendered: Path) -> None:
        done = subprocess.run(["/bin/bash", rendered / "example/toy.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
        assert done.returncode == 1
        assert "the registry command was not found" in done.stderr


class TestCompose:
    def service(self, clone: Path, name: str) -> dict[str, Any]:
        services: dict[str, dict[str, Any]] = yaml.safe_load((clone / "docker/compose.yaml").read_text())["services"]
        return services[name]

    def test_a_service_per_image(self, rendered: Path) -> None:
        toy = self.service(rendered, "toy")
        assert toy["container_name"] == "${CONTAINER_PREFIX-}toy"  # alone, without .env: toy
        assert (rendered / "docker" / toy["build"]["context"] / toy["build"]["dockerfile"]).resolve() == rendered / "docker/toy/Dockerfile"
        assert toy["deploy"]["resources"]["reservations"]["devices"] == [{"driver": "nvidia", "capabilities": ["gpu"]}]
        assert all(volume["source"].startswith("../") for volume in toy["volumes"])

    def test_a_service_is_named_after_its_repository(self, rendered: Path, registry: Registry) -> None:
        write_dockerfile(rendered, "PaddleDetection", "ARG BASE_IMAGE=nvcr.io/nvidia/paddlepaddle:24.12-py3\n")
        registry("render")
        service = self.service(rendered, "paddle_detection")
        assert service["container_name"] == "${CONTAINER_PREFIX-}PaddleDetection"
        assert service["build"]["dockerfile"] == "docker/PaddleDetection/Dockerfile"
        repository, tag = "${IMAGE_REGISTRY:-docker.io/library}/paddledetection", "${PADDLE_DETECTION_ENVIRONMENT:-latest}"
        assert service["image"] == f"{repository}:{tag}"  # references are in lower case

    def test_a_container_for_several_workloads_is_named_after_its_image(self, rendered: Path, registry: Registry) -> None:
        for name in ("mmdetection", "DAB-DETR"):
            folder = shutil.copytree(rendered / "clearml_tasks/toy", rendered / "clearml_tasks" / name)
            (folder / "workload.yaml").write_text((folder / "workload.yaml").read_text() + "image: openmmlab\n")
        write_dockerfile(rendered, "openmmlab", "ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\n")
        registry("render")
        assert self.service(rendered, "openmmlab")["container_name"] == "${CONTAINER_PREFIX-}openmmlab"

    def test_a_container_for_one_workload_is_named_after_it(self, rendered: Path, registry: Registry) -> None:
        folder = shutil.copytree(rendered / "clearml_tasks/toy", rendered / "clearml_tasks/openseg.pytorch")
        (folder / "workload.yaml").write_text((folder / "workload.yaml").read_text() + "image: openseg\n")
        write_dockerfile(rendered, "openseg", "ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\n")
        registry("render")
        assert self.service(rendered, "openseg_pytorch")["container_name"] == "${CONTAINER_PREFIX-}openseg.pytorch"

    @pytest.mark.parametrize(
        ("base", "reserved"),
        [("nvidia/cuda:11.3.1-devel", True), ("pytorch/pytorch:1.12.1-cuda11.3-cudnn8-devel", True), ("python:3.11-slim-bookworm", False)],
    )
    def test_a_gpu_is_reserved_if_the_base_uses_one(self, rendered: Path, registry: Registry, base: str, reserved: bool) -> None:
        write_dockerfile(rendered, "toy", f"ARG BASE_IMAGE={base}\n")
        registry("render")
        assert ("deploy" in self.service(rendered, "toy")) == reserved

    def test_build_arguments_are_those_of_the_dockerfile(self, rendered: Path, registry: Registry) -> None:
        write_dockerfile(rendered, "toy", 'ARG BASE_IMAGE=base:1\nFROM ${BASE_IMAGE}\nARG JOBS=4\nARG BASE_IMAGE\nARG OPTIONS="a ${b}"\n')
        registry("render")
        assert self.service(rendered, "toy")["build"]["args"] == {"BASE_IMAGE": "${BASE_IMAGE:-base:1}", "JOBS": "${JOBS:-4}"}


class TestCommonBase:
    BEFORE = "# A toy\nARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\nFROM ${BASE_IMAGE}\nARG BASE_IMAGE\n"

    @pytest.fixture
    def dockerfile(self, rendered: Path, registry: Registry) -> Path:
        (rendered / ".env").write_text("COMPOSE_FILE=docker/compose.yaml\nPYTORCH_TAG=26.02-py3\n")
        path = write_dockerfile(rendered, "toy", self.BEFORE)
        registry("render")
        return path

    def state(self, clone: Path, tag: str) -> None:
        settings = clone / ".env"
        settings.write_text(re.sub("PYTORCH_TAG=.*", f"PYTORCH_TAG={tag}", settings.read_text()))

    def test_an_outdated_dockerfile_is_reported_and_updated(self, dockerfile: Path, rendered: Path, registry: Registry) -> None:
        assert dockerfile.read_text() == self.BEFORE
        self.state(rendered, "26.03-py3")
        outcome = registry("render", "--check")
        assert outcome.code == 1
        assert "docker/toy/Dockerfile, docker/compose.yaml" in outcome.err
        assert registry("render").code == 0
        assert dockerfile.read_text() == self.BEFORE.replace("26.02", "26.03")
        assert "${BASE_IMAGE:-nvcr.io/nvidia/pytorch:26.03-py3}" in (rendered / "docker/compose.yaml").read_text()
        assert registry("render", "--check").code == 0

    @pytest.mark.parametrize(
        "text",
        [
            "# CUDA 11.3: its extensions do not compile with a later one\nARG BASE_IMAGE=nvcr.io/nvidia/pytorch:21.06-py3\n",
            "ARG BASE_IMAGE=nvcr.io/nvidia/paddlepaddle:24.12-py3\n",
            "ARG BASE_IMAGE=python:3.11-slim-bookworm\n",
        ],
    )
    def test_another_base_is_not_changed(self, dockerfile: Path, rendered: Path, registry: Registry, text: str) -> None:
        dockerfile.write_text(text)
        self.state(rendered, "26.03-py3")
        registry("render")
        assert dockerfile.read_text() == text

    def test_only_the_comment_directly_above_counts(self, dockerfile: Path, registry: Registry) -> None:
        dockerfile.write_text("# It trains with CUDA\n\n" + self.BEFORE.replace("26.02", "21.06"))
        registry("render")
        assert dockerfile.read_text() == "# It trains with CUDA\n\n" + self.BEFORE

    def test_without_the_setting_each_dockerfile_keeps_its_base(self, dockerfile: Path, rendered: Path, registry: Registry) -> None:
        (rendered / ".env").unlink()
        dockerfile.write_text(self.BEFORE.replace("26.02", "21.06"))
        registry("render")
        assert "21.06" in dockerfile.read_text()

    @pytest.mark.parametrize("tag", ["", "26.02 py3", '"26.02-py3"', "-py3"])
    def test_an_invalid_tag(self, dockerfile: Path, rendered: Path, registry: Registry, tag: str) -> None:
        self.state(rendered, tag)
        outcome = registry("render")
        assert outcome.code == 2
        assert f".env: PYTORCH_TAG={tag}: must be a tag" in outcome.err
        assert dockerfile.read_text() == self.BEFORE


def test_the_files_of_this_repository_are_up_to_date(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = registry("render", "--check")
    assert outcome.code == 0, outcome.err
    for script in git(ROOT, "ls-files", "example/*.sh").splitlines():
        subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("name", discover(ROOT))
def test_the_parser_of_clearml_task_accepts_every_example(name: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = registry("enqueue", name, "--smoke", "--dry-run")
    assert outcome.code == 0, outcome.err
    for line in outcome.lines:
        command = re.sub(r"^\w+_task=\$\((.*) \| sed .*\)$", r"\1", line)
        parsed = parse_clearml_task(command)
        assert parsed.script == f"clearml_tasks/{name}/clearml_train.py"
        assert (ROOT / parsed.script).exists()
