"""Who asks: every client that logs in has a session of its own, which its token names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    session: str = ""
    """Of the login from which its token is; empty for one that sends the keys themselves, or the page's cookie."""
    agent: bool = False
    """Does it call itself a clearml-agent?"""
    by_cookie: bool = False
    """Does it come by the page's cookie?"""


NOBODY = Caller()
