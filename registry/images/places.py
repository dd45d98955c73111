"""The places where an image is: this machine's engine, and its image registry."""

from __future__ import annotations

from collections.abc import Mapping

from ..console import say
from ..errors import EngineError
from ..image import Image
from .engine import Engine, LocalImage
from .store import ImageStore, Stored


def store_of(each: Image) -> ImageStore | None:
    """The repository of an image in the image registry; None for an image that is only on this machine."""
    return ImageStore(each.repository) if each.is_kept_remotely else None


def stored_image(each: Image) -> Stored | None:
    """The image of the current environment in the image registry."""
    store = store_of(each)
    return store.find(each.environment) if store else None


def labels_of(each: Image, engine: Engine) -> Mapping[str, str] | None:
    """The labels of the image of the current environment: from the image registry, or else from the engine."""
    store = store_of(each)
    local = engine.find(each.reference())
    return (store.labels(each.environment) if store else None) or (local.labels if local else None)


def engine_here() -> Engine | None:
    """This machine's engine; None, with a warning, if there is none."""
    try:
        return Engine()
    except EngineError as error:
        say(f"warning: {error}")
        return None


def local_image(each: Image) -> LocalImage | None:
    """The image in this machine's engine; None if it, or the engine, is missing."""
    engine = engine_here()
    return engine.find(each.reference()) if engine else None
