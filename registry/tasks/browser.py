"""Opens a task's page in the user's browser."""

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
    """The address of a task's page. For the embedded server, it contains the key and signs the user in."""
    page = server.link(task)
    embedded = embedded_server() if server.embedded else None
    return f"{embedded.login_url}&next={quote(urlsplit(page).path, safe='')}" if embedded else page


def show(address: str, *, secret: bool) -> bool:
    """Open an address in a browser. False if there is no browser.

    Every user of the machine can read a program's command line, so a secret address is passed to the browser in a file that only this
    user can read, and that redirects to it.
    """
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return browser.open(leading_to(address).as_uri() if secret else address)


def leading_to(address: str) -> Path:
    """A page that redirects to an address, and that only this user can read."""
    page = private_folder(home()) / "page.html"
    link = html.escape(address)
    with private():
        page.unlink(missing_ok=True)
        page.write_text(f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={link}"><a href="{link}">The page</a>\n')
    return page
