"""A task's page in the person's browser."""

from __future__ import annotations

import html
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..backends import Server
from ..home import embedded_server, home, private, private_folder


def address_of(server: Server, task: Mapping[str, Any]) -> str:
    """The address of a task's page; the embedded server's is a sign-in that leads there, and holds the key."""
    page = server.link(task)
    embedded = embedded_server() if server.embedded else None
    return f"{embedded.login_url}&next={quote(urlsplit(page).path, safe='')}" if embedded else page


def show(address: str, *, secret: bool) -> bool:
    """Open an address in a browser; False where there is none.

    What stands on a program's command line can be read by everybody on the machine: a secret address is given to the browser in a file
    of this user's alone, which leads there.
    """
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return browser.open(leading_to(address).as_uri() if secret else address)


def leading_to(address: str) -> Path:
    """A page that leads on to an address, readable by this user alone."""
    page = private_folder(home()) / "page.html"
    link = html.escape(address)
    with private():
        page.unlink(missing_ok=True)
        page.write_text(f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={link}"><a href="{link}">The page</a>\n')
    return page
