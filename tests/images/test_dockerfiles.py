"""Conventions for every image. Each is also tested to fail, on a Dockerfile that violates it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from registry.environment import ROOT, image_names
from registry.render import PYTORCH, pytorch_tag

HADOLINT = Path(sys.executable).with_name("hadolint")
GOOD = f"""\
# A toolbox.
ARG BASE_IMAGE={PYTORCH}:{pytorch_tag(ROOT)}
FROM ${{BASE_IMAGE}}
ARG TZ=Asia/Tokyo
ENV TZ=${{TZ}}
COPY docker/setup/debian.sh docker/harness/packages.txt /setup/
RUN bash /setup/debian.sh /setup/packages.txt
COPY docker/setup/python.sh docker/setup/interpreter.sh docker/harness/requirements.lock /setup/
RUN bash /setup/python.sh /setup/requirements.lock
COPY docker/toolbox/requirements.lock /setup/toolbox.lock
RUN bash /setup/python.sh /setup/toolbox.lock
ENV LOCAL_PYTHON=/setup/interpreter.sh CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL=1
WORKDIR /workspace
COPY docker/toolbox docker/toolbox
COPY src src
COPY clearml_tasks clearml_tasks
RUN find /setup /workspace ! -perm -o=r -exec chmod a+rX {{}} +
ARG BASE_IMAGE
ENV WORKLOAD_IMAGE=toolbox WORKLOAD_BASE=${{BASE_IMAGE}}
ARG COMMIT=unknown
ARG ENVIRONMENT=unknown
LABEL org.opencontainers.image.title="toolbox" \\
      org.opencontainers.image.revision="${{COMMIT}}" \\
      org.opencontainers.image.version="${{ENVIRONMENT}}" \\
      org.opencontainers.image.base.name="${{BASE_IMAGE}}"
CMD ["/bin/bash"]
"""


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile and the name of its image."""

    name: str
    text: str

    @property
    def instructions(self) -> list[tuple[str, str]]:
        """Each instruction and its arguments, continued lines joined."""
        lines = [line for line in self.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
        return [(line.split()[0].upper(), " ".join(line.split()[1:])) for line in joined.splitlines()]

    def places(self, instruction: str, pattern: str = "") -> list[int]:
        """The position of an instruction whose arguments match the pattern."""
        return [place for place, (name, given) in enumerate(self.instructions) if name == instruction and re.search(pattern, given)]

    def values(self, instruction: str) -> dict[str, str]:
        """All `key=value` of an instruction."""
        given = " ".join(given for name, given in self.instructions if name == instruction)
        return {key: value.strip('"') for key, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', given)}


def the_base_is_an_argument(file: Dockerfile) -> bool:
    argument, origin = file.instructions[:2]
    return re.fullmatch(r"BASE_IMAGE=\S+:\S+", argument[1]) is not None and origin == ("FROM", "${BASE_IMAGE}")


def another_base_is_explained_by_its_cuda(file: Dockerfile) -> bool:
    """An older base supports older drivers and fewer GPUs; a newer one, the opposite. Without a GPU, it does not matter."""
    above, line, _ = re.split(r"(ARG BASE_IMAGE=\S+)", file.text, maxsplit=1)
    comment = re.search(r"(?:^#.*\n)*\Z", above, re.MULTILINE)
    common = line == f"ARG BASE_IMAGE={PYTORCH}:{pytorch_tag(ROOT)}"
    return common or not re.search("nvidia|cuda", line) or (comment is not None and "CUDA" in comment[0])


def the_time_zone_is_an_argument(file: Dockerfile) -> bool:
    argument, variable = file.places("ARG", r"^TZ=Asia/Tokyo$"), file.places("ENV", r"\bTZ=\$\{TZ\}")
    return bool(argument and variable) and argument[0] < variable[0] < min(file.places("RUN"))


def any_command_can_be_given(file: Dockerfile) -> bool:
    """The agent passes its own command, which an ENTRYPOINT would take as arguments."""
    return not file.places("ENTRYPOINT") and len(file.places("CMD")) == 1


def the_agent_takes_the_images_interpreter(file: Dockerfile) -> bool:
    variables = file.values("ENV")
    return variables.get("LOCAL_PYTHON") == "/setup/interpreter.sh" and variables.get("CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL") == "1"


def it_says_what_it_is(file: Dockerfile) -> bool:
    stated = {key.removeprefix("org.opencontainers.image."): value for key, value in file.values("LABEL").items()}
    expected = {"title": file.name, "revision": "${COMMIT}", "version": "${ENVIRONMENT}", "base.name": "${BASE_IMAGE}"}
    variables = file.values("ENV")
    return expected.items() <= stated.items() and (variables["WORKLOAD_IMAGE"], variables["WORKLOAD_BASE"]) == (file.name, "${BASE_IMAGE}")


def what_changes_least_comes_first(file: Dockerfile) -> bool:
    """Debian packages, requirements, code, and last what every commit changes: each layer changes less often than those after it."""
    order = (
        file.places("RUN", r"debian\.sh|apt-get"),
        file.places("RUN", r"python\.sh|\bpip\b"),
        file.places("COPY", r"^(src|configs|clearml_tasks)\b"),
        file.places("ARG", "^(COMMIT|ENVIRONMENT)="),
    )
    in_order = all(order) and all(max(above) < min(below) for above, below in pairwise(order))
    return in_order and max(file.places("RUN", "^(?!find )")) < min(order[2])


def everybody_may_read_it(file: Dockerfile) -> bool:
    """Only its owner can read a clone made under umask 077, but a container's processes may run as any user."""
    last = file.instructions[max(file.places("RUN"))][1]
    return last == "find /setup /workspace ! -perm -o=r -exec chmod a+rX {} +" and max(file.places("COPY")) < max(file.places("RUN"))


def requirements_are_copied_apart(file: Dockerfile) -> bool:
    """A change of the code, or of another image, must not reinstall everything: each step's files are copied right before it."""
    copied = [given for name, given in file.instructions[: max(file.places("RUN", r"python\.sh"))] if name == "COPY"]
    return not any(re.match(r"(\.|docker(/[^/ ]+)?|src|configs|clearml_tasks)/? ", given) for given in copied)


def what_is_installed_is_locked(file: Dockerfile) -> bool:
    """The harness's lock, then the image's own: with requirements.txt, dependencies would vary with the day of the build."""
    copied = [given for place in file.places("COPY", r"requirements\.") for given in file.instructions[place][1].split()[:-1]]
    locks = [given for given in copied if "requirements." in given]
    steps = file.places("RUN", r"python\.sh")
    return locks == [f"docker/{name}/requirements.lock" for name in ("harness", file.name)] and len(steps) == len(locks)


def hadolint_is_content(file: Dockerfile) -> bool:
    done = subprocess.run(
        [HADOLINT, "--config", ROOT / ".hadolint.yaml", "--no-color", "-"], input=file.text, capture_output=True, text=True
    )
    print(done.stdout, done.stderr)
    return done.returncode == 0


CONVENTIONS: list[Callable[[Dockerfile], bool]] = [
    the_base_is_an_argument,
    another_base_is_explained_by_its_cuda,
    the_time_zone_is_an_argument,
    any_command_can_be_given,
    the_agent_takes_the_images_interpreter,
    it_says_what_it_is,
    what_changes_least_comes_first,
    everybody_may_read_it,
    requirements_are_copied_apart,
    what_is_installed_is_locked,
    hadolint_is_content,
]
COPY_CODE = "COPY src src\nCOPY clearml_tasks clearml_tasks\n"
INSTALL = "RUN bash /setup/python.sh /setup/requirements.lock\n"
BREACHES: list[tuple[Callable[[Dockerfile], bool], str, str]] = [
    (the_base_is_an_argument, "FROM ${BASE_IMAGE}", "FROM python:3.11"),
    (the_base_is_an_argument, "ARG BASE_IMAGE=", "ARG TZ=UTC\nARG BASE_IMAGE="),
    (the_base_is_an_argument, f"={PYTORCH}:{pytorch_tag(ROOT)}", ""),
    (another_base_is_explained_by_its_cuda, f":{pytorch_tag(ROOT)}", ":21.06-py3"),
    (another_base_is_explained_by_its_cuda, f"{PYTORCH}:{pytorch_tag(ROOT)}", "nvidia/cuda:11.3.1-devel-ubuntu20.04"),
    (the_time_zone_is_an_argument, "ARG TZ=Asia/Tokyo\nENV TZ=${TZ}", "ENV TZ=Asia/Tokyo"),
    (the_time_zone_is_an_argument, "ARG TZ=Asia/Tokyo", "ARG TZ=UTC"),
    (the_time_zone_is_an_argument, "ENV TZ=${TZ}\n", ""),
    (any_command_can_be_given, "CMD ", "ENTRYPOINT "),
    (any_command_can_be_given, 'CMD ["/bin/bash"]', ""),
    (the_agent_takes_the_images_interpreter, "LOCAL_PYTHON=/setup/interpreter.sh ", ""),
    (the_agent_takes_the_images_interpreter, "ENV_INSTALL=1", "ENV_INSTALL=0"),
    (it_says_what_it_is, 'title="toolbox"', 'title="clip"'),
    (it_says_what_it_is, "${COMMIT}", "main"),
    (it_says_what_it_is, "WORKLOAD_IMAGE=toolbox", "WORKLOAD_IMAGE=clip"),
    (what_changes_least_comes_first, INSTALL, f"{COPY_CODE}{INSTALL}"),
    (what_changes_least_comes_first, "ARG TZ", "ARG COMMIT=unknown\nARG TZ"),
    (what_changes_least_comes_first, "RUN bash /setup/debian.sh", f"{INSTALL}RUN bash /setup/debian.sh"),
    (everybody_may_read_it, "RUN find", "RUN true #"),
    (everybody_may_read_it, "ARG BASE_IMAGE\nENV", "COPY example example\nARG BASE_IMAGE\nENV"),
    (requirements_are_copied_apart, INSTALL, f"COPY docker docker\n{INSTALL}"),
    (requirements_are_copied_apart, INSTALL, f"COPY . /workspace\n{INSTALL}"),
    (what_is_installed_is_locked, "harness/requirements.lock", "harness/requirements.txt"),
    (what_is_installed_is_locked, "COPY docker/toolbox/requirements.lock /setup/toolbox.lock\n", ""),
    (what_is_installed_is_locked, "docker/toolbox/requirements.lock", "docker/clip/requirements.lock"),
    (what_is_installed_is_locked, "RUN bash /setup/python.sh /setup/toolbox.lock\n", "RUN pip install toolbox\n"),
    (hadolint_is_content, INSTALL, "RUN apt-get update && apt-get install -y git\n"),
    (hadolint_is_content, "WORKDIR /workspace", "WORKDIR workspace"),
    (hadolint_is_content, "image.revision=", "image.revisoin="),
]


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.__name__)
@pytest.mark.parametrize("name", image_names())
def test_every_image_follows_the_convention(name: str, convention: Callable[[Dockerfile], bool]) -> None:
    assert convention(Dockerfile(name, (ROOT / "docker" / name / "Dockerfile").read_text()))


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.__name__)
def test_a_violation_is_detected(convention: Callable[[Dockerfile], bool]) -> None:
    assert convention(Dockerfile("toolbox", GOOD))
    breaches = [(before, after) for breached, before, after in BREACHES if breached is convention]
    assert breaches
    for before, after in breaches:
        assert before in GOOD
        assert not convention(Dockerfile("toolbox", GOOD.replace(before, after, 1))), after


def test_an_older_base_with_a_reason_is_accepted() -> None:
    older = GOOD.replace(f":{pytorch_tag(ROOT)}", ":21.06-py3").replace("# A toolbox.", "# A toolbox.\n# CUDA 11.3, for its extensions")
    assert another_base_is_explained_by_its_cuda(Dockerfile("toolbox", older))
