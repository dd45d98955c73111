"""The files of a new workload: for a script that is run as it is, or to be filled with code of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .options_file import options_of
from .origin import Origin
from .reading import Read

ENTRY = '''\
"""{summary}.

Run it here: python clearml_tasks/{name}/clearml_train.py {example}
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness
{functions}
if __name__ == "__main__":
    harness.main(__file__{commands})
'''
TRAIN = """

def train(job: harness.Job) -> None:
    from {package}.train import train

    train(job)

"""
CONFIG = '''\
"""The settings of {name}. Importable without the image's packages."""

from __future__ import annotations

from dataclasses import dataclass

from harness.params import setting


@dataclass
class TrainConfig:
    """Of `command=train`."""

    epochs: int = setting(20, "passes over the data", ge=1)
    lr: float = setting(0.1, "learning rate", gt=0)
    samples: int = setting(256, "points that are fitted", ge=2)
    noise: float = setting(0.1, "standard deviation of the noise on them", ge=0)
'''
TRAINING = '''\
"""Fits a line to noisy points by gradient descent: something tiny to begin with. Put your own training in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from harness import Job


def train(job: Job) -> None:
    """Train, or go on from a checkpoint as if the run had never stopped."""
    settings, generator = job.settings, np.random.default_rng(job.seed)
    x = generator.uniform(-1, 1, settings.samples)
    y = 2 * x - 1 + settings.noise * generator.standard_normal(settings.samples)
    done, weights = load(job.resume) if job.resume else (0, np.zeros(2))
    for epoch in range(done + 1, settings.epochs + 1):
        error = weights[0] * x + weights[1] - y
        weights = weights - settings.lr * 2 * np.array([np.mean(error * x), np.mean(error)])
        job.report.scalar("loss", "train", float(np.mean(error**2)), epoch)
        job.checkpoints.save(epoch, lambda path, epoch=epoch, weights=weights: save(path, epoch, weights))
    job.report.text(f"y = {{weights[0]:.3f}} x + {{weights[1]:.3f}}")


def save(path: Path, epoch: int, weights: NDArray[np.float64]) -> None:
    with path.open("wb") as file:
        np.savez(file, epoch=epoch, weights=weights)


def load(path: Path) -> tuple[int, NDArray[np.float64]]:
    with np.load(path) as stored:
        return int(stored["epoch"]), stored["weights"]
'''
DOCKERFILE = """\
# {summary}. Built from the repository's root, by `registry image build {image}` or docker build -f docker/{image}/Dockerfile .
ARG BASE_IMAGE={base}
FROM ${{BASE_IMAGE}}

# Debian's packages, and local time in the logs
ARG TZ=Asia/Tokyo
ENV TZ=${{TZ}}
COPY docker/setup/debian.sh docker/harness/packages.txt /setup/
RUN bash /setup/debian.sh /setup/packages.txt

# What every run needs: up to here, images of one base share their layers
COPY docker/setup/python.sh docker/harness/requirements.lock /setup/
RUN bash /setup/python.sh /setup/requirements.lock

# The image's own packages
COPY docker/{image}/requirements.lock /setup/{image}.lock
RUN bash /setup/python.sh /setup/{image}.lock

# For clearml-agent: the interpreter to use as it is
ENV LOCAL_PYTHON=python3 CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL=1 PYTHONUNBUFFERED=1 \\
    PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1

# The project's code, for use without an agent (in a run, the agent's clone comes first), and what the environment was made from
WORKDIR /workspace
COPY docker/harness docker/harness
COPY docker/setup docker/setup
COPY docker/{image} docker/{image}
COPY configs configs
COPY src src
COPY clearml_tasks clearml_tasks
# A clone may be its owner's alone, its image is for all
RUN find /setup /workspace ! -perm -o=r -exec chmod a+rX {{}} +
ARG BASE_IMAGE
ENV PYTHONPATH=/workspace/src WORKLOAD_IMAGE={image} WORKLOAD_BASE=${{BASE_IMAGE}}

ARG COMMIT=unknown
ARG ENVIRONMENT=unknown
LABEL org.opencontainers.image.title="{image}" \\
      org.opencontainers.image.revision="${{COMMIT}}" \\
      org.opencontainers.image.version="${{ENVIRONMENT}}" \\
      org.opencontainers.image.base.name="${{BASE_IMAGE}}"
CMD ["/bin/bash"]
"""
SLIM = "python:3.11-slim-bookworm"
OF_TORCH = ("torch", "torchvision", "torchaudio", "triton")
"""Packages that the PyTorch image has; installed again they would not fit it."""
SHORT: Mapping[str, Any] = {
    "epochs": 1,
    "num_epochs": 1,
    "max_epochs": 1,
    "n_epochs": 1,
    "max_steps": 10,
    "num_steps": 10,
    "max_iters": 10,
    "dry_run": True,
}
"""What makes a run short, by the names that such options have."""
GUESSED = {"main": ["*acc*/*", "*loss*/*"], "lower": ["*loss*/*", "*err*/*"], "higher": ["*acc*/*"]}
"""Of curves whose names are not known before a run."""


def of_script(name: str, queue: str, image: str, origin: Origin, commands: Mapping[str, Read]) -> dict[str, str]:
    """The files of a workload that runs a script as it is, by path."""
    first = next(iter(commands))
    summary = summary_of(commands[first], origin)
    smoke = {key: value for key, value in SHORT.items() if any(option.key == key for option in commands[first].options)}
    head = f"# The smoke run: settings that make it short\n#   registry enqueue {name} command={first} config=smoke\n"
    entry = ENTRY.format(summary=summary, name=name, example="KEY=VALUE", functions="", commands="")
    return {
        f"clearml_tasks/{name}/workload.yaml": declaration_of(name, summary, queue, image, origin, commands),
        f"clearml_tasks/{name}/options.yaml": options_of(name, commands),
        f"clearml_tasks/{name}/clearml_train.py": entry,
        f"configs/{name}/smoke.yaml": head + (yaml.safe_dump(smoke, sort_keys=False) if smoke else ""),
    }


def summary_of(command: Read, origin: Origin) -> str:
    """The first sentence of what a script says of itself."""
    said = re.split(r"(?<=[.!?])\s|\n\n", " ".join(command.help.split()), maxsplit=1)[0].strip(" .!")
    of = origin.repository.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return said.replace('"', "'").replace("\\", "/")[:100] or f"{origin.path}{f' of {of}' if of else ''}, run as it is"


def declaration_of(name: str, summary: str, queue: str, image: str, origin: Origin, commands: Mapping[str, Read]) -> str:
    data = {key for command in commands.values() for key in command.passes if key == "dataset_id"}
    stated: dict[str, Any] = {"summary": summary, "queue": queue}
    if image != name.lower():
        stated["image"] = image
    if data:
        stated["datasets"] = {"dataset_id": f"data of {name}"}
    stated["commands"] = {key: command_of(key, command, origin, bool(data)) for key, command in commands.items()}
    stated["metrics"] = GUESSED
    stated["smoke"] = [{"command": next(iter(commands)), "config": "smoke"}]
    return yaml.safe_dump(stated, sort_keys=False, width=140, allow_unicode=True, default_flow_style=None)


def command_of(name: str, command: Read, origin: Origin, has_data: bool) -> dict[str, Any]:
    kind = "testing" if re.match("test|eval|valid|predict|infer", name) else "training"
    stated: dict[str, Any] = {"launcher": "script", "type": kind, "script": origin.path}
    if origin.repository:
        stated |= {"repository": origin.repository, "commit": origin.commit}
    if command.passes:
        stated["options"] = dict(command.passes)
    required = any(option.required for option in command.options if option.own_name == command.passes.get("dataset_id"))
    return stated | ({"needs": []} if has_data and not required else {})


def of_own(name: str, queue: str, package: str) -> dict[str, str]:
    """The files of a new workload with code of its own, by path."""
    summary = f"Fits a line to noisy points: {name} before it has code of its own"
    entry = ENTRY.format(
        summary=summary, name=name, example="config=smoke", functions=TRAIN.format(package=package), commands=", train=train"
    )
    stated = (
        f"summary: '{summary}'\nqueue: {queue}\n"
        f"commands:\n  train: {{launcher: inline, type: training, config: {package}.config:TrainConfig}}\n"
        "metrics: {main: [loss/train], lower: [loss/*], higher: [accuracy/*]}\n"
        "smoke:\n  - {command: train, config: smoke}\n"
    )
    return {
        f"clearml_tasks/{name}/workload.yaml": stated,
        f"clearml_tasks/{name}/clearml_train.py": entry,
        f"configs/{name}/smoke.yaml": f"# The smoke run of {name}:\n#   registry enqueue {name} command=train config=smoke\nepochs: 5\n",
        f"src/{package}/__init__.py": f'"""{summary}."""\n',
        f"src/{package}/config.py": CONFIG.format(name=name),
        f"src/{package}/train.py": TRAINING.replace("{{", "{").replace("}}", "}"),
    }


def of_image(image: str, summary: str, requirements: Sequence[str], pytorch: str | None) -> dict[str, str]:
    """An image's Dockerfile and requirements.txt: on the PyTorch image if they want torch, else on a small one."""
    own = [line for line in requirements if package_of(line) not in OF_TORCH]
    base = pytorch if pytorch and len(own) < len(requirements) else SLIM
    return {
        f"docker/{image}/Dockerfile": DOCKERFILE.format(summary=summary, image=image, base=base),
        f"docker/{image}/requirements.txt": "".join(f"{line}\n" for line in own),
    }


def requirements_in(folder: Path) -> list[str]:
    """The packages that a repository's requirements.txt names; other lines (options, URLs) are for a person to read."""
    file = folder / "requirements.txt"
    lines = [line.partition(" #")[0].strip() for line in file.read_text().splitlines()] if file.is_file() else []
    return [line for line in lines if re.match(r"[A-Za-z0-9]", line) and "://" not in line]


def package_of(line: str) -> str:
    return re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
