"""Inside every run: arguments, data, launch, report and checkpoints. Imports neither torch nor, before it must, clearml."""

from .job import Job, main

__all__ = ["Job", "main"]
