"""A task's page: its address, and opening it in a browser without showing the key to other users of the machine."""

from __future__ import annotations

import re
import shlex
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from support.command_line import Registry
from support.server import LocalServer

from registry.backends import Server
from registry.tasks import browser

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


@pytest.fixture
def task(clone: Path, embedded: Server) -> str:
    body = {"name": f"open-{uuid.uuid4().hex[:6]}", "type": "training", "project": embedded.project("Opened")}
    return str(embedded.call("tasks.create", **body)["id"])


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake browser that records what it was asked to open."""
    noted = tmp_path / "opened"
    program = tmp_path / "a-browser"
    program.write_text(f'#!/bin/sh\nprintf "%s" "$*" >> {shlex.quote(str(noted))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(program))
    monkeypatch.setattr("webbrowser._tryorder", None)  # it reads BROWSER once
    return noted


def test_the_address_signs_in_and_shows_the_task(server: LocalServer, task: str, registry: Registry, opened: Path) -> None:
    outcome = registry("open", task[:10], "--print")
    assert (outcome.code, outcome.err) == (0, "")
    assert not opened.exists()
    with requests.Session() as visitor:
        page = visitor.get(outcome.out.strip(), timeout=10)
        assert (page.status_code, urlsplit(page.url).path) == (200, f"/task/{task}")
        assert visitor.post(f"{server.url}/tasks.get_by_id", json={"task": task}, headers={"Origin": server.url}, timeout=10).ok


def test_the_key_is_not_on_the_browsers_command_line(server: LocalServer, task: str, registry: Registry, opened: Path) -> None:
    outcome = registry("open", task)
    assert (outcome.code, outcome.err) == (0, "")
    key = server.login_url.partition("key=")[2]
    assert key in outcome.out
    assert key not in opened.read_text()
    page = Path(opened.read_text().removeprefix("file://"))
    assert (page.stat().st_mode & 0o777, page.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert re.search(r'url=([^"]+)"', page.read_text())[1].replace("&amp;", "&") == outcome.out.strip()  # type: ignore[index]


def test_without_a_browser_it_is_printed(task: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise browser.webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr("webbrowser.get", none)
    outcome = registry("open", task)
    assert (outcome.code, outcome.err) == (0, "no browser was found\n")
    assert task in outcome.out


def test_on_a_clearml_server_the_address_is_on_its_web_host(
    server: LocalServer, task: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Path
) -> None:
    access, secret = server.keys
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "another home"))  # so that this server is not this person's own
    monkeypatch.delenv("CLEARML_CONFIG_FILE")
    for name, value in (
        ("API_HOST", server.url),
        ("WEB_HOST", "https://app.example.org/"),
        ("API_ACCESS_KEY", access),
        ("API_SECRET_KEY", secret),
    ):
        monkeypatch.setenv(f"CLEARML_{name}", value)
    outcome = registry("open", task)
    assert outcome.code == 0, outcome.err
    (address,) = outcome.lines
    assert re.fullmatch(rf"https://app\.example\.org/projects/\w+/experiments/{task}/output/log", address)
    assert opened.read_text() == address


def test_a_missing_task(clone: Path, embedded: Server, registry: Registry, opened: Path) -> None:
    outcome = registry("open", "nobody")
    assert (outcome.code, outcome.out, opened.exists()) == (2, "", False)
