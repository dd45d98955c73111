"""Whether the image of a run is available, and is the environment that the run's commit needs."""

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
    """Check that the agents of a queue will find the workload's image, or the environment that replaces it on this machine.

    The image is the one of `commit`, or else of the clone in its current state.
    """
    here = server.embedded
    if here and not in_containers(queue):
        findings.add(missing_environment(image))
    elif here or "/" in image.reference(tag):
        with tree_of(image.root, commit, "docker") as tree:
            check_image(image.reference(tag), replace(image, root=tree), findings, here=here)
    else:
        findings.warnings.append(
            f"image {image.reference(tag)} is in no image registry that agents could reach; set IMAGE_REGISTRY=HOST/NAMESPACE"
        )


def missing_environment(image: Image) -> Sequence[str]:
    """Check that the environment exists in which tasks run without Docker."""
    folder = Path(os.environ["HARNESS_ENVS"], image.name) if os.environ.get("HARNESS_ENVS") else image.bare_environment
    if (folder / "bin" / "python").exists():
        return []
    return [f"the environment of image {image.name!r} is not built on this machine ({folder}); run: make env/{image.name}"]


def check_image(reference: str, needed: Image, findings: Findings, *, here: bool) -> None:
    """Look for an image where agents would: in its image registry, and in this machine's engine if they run here.

    Args:
        reference: the image name in the task.
        needed: the image of the run's workload.
        here: whether the agents use this machine's engine.
    """
    try:
        labels = labels_of(reference, here)
    except (EngineError, StoreError) as error:
        findings.warnings.append(f"could not check image {reference}: {error}")
        return
    how = f"registry image build {needed.name}" + ("" if here else f" && registry image push {needed.name}")
    if labels is None:
        where = "neither on this machine nor in an image registry" if here else "not in its image registry"
        findings.add([f"image {reference} is {where}; run: {how}"])
    elif problem := other_environment(labels, needed, needed.root):
        findings.add([f"image {reference}: {problem}; run: {how}"])


def labels_of(reference: str, here: bool) -> dict[str, str] | None:
    """The labels of an image; None if it does not exist."""
    if here and (local := Engine().find(reference)):
        return dict(local.labels)
    repository, tag = split(reference)
    if "/" not in repository:
        return None
    return ImageStore(repository).labels(tag)


def other_environment(labels: dict[str, str], needed: Image, root: Path) -> str | None:
    """How an image's environment differs from the one that is needed; None if it does not, or if the image names none."""
    stated = labels.get(ENVIRONMENT, "")
    if not stated.startswith("env-"):
        return None
    wanted = environment(root, needed.name, labels.get(BASE))
    if stated == wanted:
        return None
    return f"its environment is {stated}, but the commit needs {wanted}"
