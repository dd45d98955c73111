"""What a person asks of `registry enqueue`, before anything of it is checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """The command line, by its options."""

    workload: str
    arguments: tuple[str, ...] = ()
    queue: str | None = None
    dataset: str | None = None
    name: str | None = None
    project: str | None = None
    branch: str | None = None
    head: bool = False
    """With `like`: the commit that is checked out, in place of the earlier task's."""
    commit: str | None = None
    """The earlier task's."""
    image: str | None = None
    output_uri: str | None = None
    tags: tuple[str, ...] = ()
    resume: str | None = None
    like: str | None = None
    smoke: bool = False
