"""Whether the image that a run names is to be had, and is the environment that the run's commit needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.image import environment

from ..agents.agent import in_containers
from ..backends import Server
from ..errors import EngineError, StoreError
from ..findings import Findings
from ..git import tree_of
from ..image import Image
from ..images.engine import Engine
from ..images.labels import BASE, ENVIRONMENT
from ..images.reference import split
from ..images.store import ImageStore


def check_environment(image: Image, tag: str | None, commit: str | None, queue: str, server: Server, findings: Findings) -> None:
    """Whether what the agents of a queue run a workload in is there: the image, or the environment that stands for it on this machine.

    The image is that of `commit`, or else of the clone as it is.
    """
    here = server.embedded
    if here and not in_containers(queue):
        findings.add(missing_environment(image))
    elif here or "/" in image.reference(tag):
        with tree_of(image.root, commit, "docker") as tree:
            check_image(image.reference(tag), replace(image, root=tree), findings, here=here)
    else:
        findings.warnings.append(
            f"image {image.reference(tag)} is on no image registry that agents could reach: set IMAGE_REGISTRY=HOST/NAMESPACE"
        )


def missing_environment(image: Image) -> Sequence[str]:
    """Without Docker a task runs in its image's environment, which has to be there."""
    folder = Path(os.environ["HARNESS_ENVS"], image.name) if os.environ.get("HARNESS_ENVS") else image.bare_environment
    if (folder / "bin" / "python").exists():
        return []
    return [f"the environment of image {image.name!r} is not built on this machine ({folder}): make env/{image.name}"]


def check_image(reference: str, needed: Image, findings: Findings, *, here: bool) -> None:
    """Look for an image where agents would: in its image registry, and in this machine's engine if they run here.

    Args:
        reference: what the task would name.
        needed: the image of the run's workload.
        here: whether the agents use this machine's engine.
    """
    try:
        labels = labels_of(reference, here)
    except (EngineError, StoreError) as error:
        findings.warnings.append(f"image {reference} could not be looked for: {error}")
        return
    how = f"registry image build {needed.name}" + ("" if here else f" && registry image push {needed.name}")
    if labels is None:
        where = "neither on this machine nor in an image registry" if here else "not in its image registry"
        findings.add([f"image {reference} is {where}: {how}"])
    elif problem := other_environment(labels, needed, needed.root):
        findings.add([f"image {reference}: {problem}: {how}"])


def labels_of(reference: str, here: bool) -> dict[str, str] | None:
    """The labels of an image, or None if it is nowhere."""
    if here and (local := Engine().find(reference)):
        return dict(local.labels)
    repository, tag = split(reference)
    if "/" not in repository:
        return None
    return ImageStore(repository).labels(tag)


def other_environment(labels: dict[str, str], needed: Image, root: Path) -> str | None:
    """How an image's environment differs from the one that is needed; None for images that state none."""
    stated = labels.get(ENVIRONMENT, "")
    if not stated.startswith("env-"):
        return None
    wanted = environment(root, needed.name, labels.get(BASE))
    if stated == wanted:
        return None
    return f"its environment is {stated}, the commit needs {wanted}"
