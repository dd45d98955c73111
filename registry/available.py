"""Whether the image that a run names is to be had, and is the environment that the run's commit needs."""

from __future__ import annotations

from pathlib import Path

from harness.image import environment

from .engine import Engine
from .errors import EngineError, StoreError
from .findings import Findings
from .image import Image
from .reference import split
from .store import ImageStore

BASE = "org.opencontainers.image.base.name"
VERSION = "org.opencontainers.image.version"


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
    stated = labels.get(VERSION, "")
    if not stated.startswith("env-"):
        return None
    wanted = environment(root, needed.name, labels.get(BASE))
    if stated == wanted:
        return None
    return f"its environment is {stated}, the commit needs {wanted}"
