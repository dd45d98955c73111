"""Inside every run: arguments, data, launch, report and checkpoints. Imports neither torch nor, before it must, clearml."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Job, main

__all__ = ["Job", "main"]


def __getattr__(name: str) -> Any:
    """Import a job's parts when they are asked for: who only reads declarations, `registry list` for one, need not wait for them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import job

    return getattr(job, name)
