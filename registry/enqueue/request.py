"""The request that a user makes with `registry enqueue`, before it is checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """The options and arguments of the command line."""

    workload: str
    arguments: tuple[str, ...] = ()
    queue: str | None = None
    dataset: str | None = None
    name: str | None = None
    project: str | None = None
    branch: str | None = None
    head: bool = False
    """With `like`: run the commit that is checked out, not the earlier task's."""
    commit: str | None = None
    """The commit of the earlier task."""
    image: str | None = None
    output_uri: str | None = None
    tags: tuple[str, ...] = ()
    resume: str | None = None
    like: str | None = None
    smoke: bool = False
