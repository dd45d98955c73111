"""The sender of a request: every client that logs in gets a session of its own, which its token names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    session: str = ""
    """The session of its token; empty if it sends the keys themselves, or the page's cookie."""
    agent: bool = False
    """Whether it identifies itself as a clearml-agent."""
    by_cookie: bool = False
    """Whether it is authorised by the page's cookie."""


NOBODY = Caller()
