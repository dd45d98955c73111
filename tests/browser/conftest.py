"""One Chromium, one server, one set of runs for all tests of the page; each gets a tab that must end without an error in its console."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.server import LocalServer

from browser.screenshot import CHROMIUM, LAPTOP, OPTIONS

HERE = Path(__file__).parent
PATIENCE = 20_000  # ms, for a machine that does other things, too
expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a browser is slow: Chromium and a server full of runs take half a minute before the first test."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


class Runs:
    """The runs on the server: `ids` by name, and a pen that writes into the log of the one that is running."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server = server
        with (folder / "fill.log").open("wb") as log:
            self._filling = subprocess.Popen(
                [sys.executable, str(HERE / "fill.py")],
                env=server.env,
                cwd=folder,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.ids: dict[str, str] = self._answer(folder / "fill.log")

    def _answer(self, log: Path) -> dict[str, str]:
        assert self._filling.stdout is not None
        for line in self._filling.stdout:  # the SDK writes lines of its own
            if line.startswith('{"ids"'):
                ids: dict[str, str] = json.loads(line)["ids"]
                return ids
        raise RuntimeError(f"filling the server failed:\n{log.read_text()}")

    def say(self, line: str) -> None:
        """A line in the running task's log."""
        assert self._filling.stdin is not None
        self._filling.stdin.write(f"{line}\n")
        self._filling.stdin.flush()

    def close(self) -> None:
        self._filling.communicate()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (tests/packages.txt)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def filled(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A server of its own, so that other tests' tasks are not in the tables."""
    folder = tmp_path_factory.mktemp("page")
    server = LocalServer(folder / "data")
    runs = Runs(server, folder)
    yield runs
    runs.close()
    server.stop()


@pytest.fixture(scope="package")
def ids(filled: Runs) -> dict[str, str]:
    return filled.ids


@pytest.fixture(scope="package")
def signed_in(browser: Browser, filled: Runs) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=LAPTOP, base_url=filled.server.url)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.goto(filled.server.login_url)
    tab.close()
    yield context
    context.close()


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    """A tab of somebody who is signed in."""
    tab = signed_in.new_page()
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert errors == []


@pytest.fixture
def visitor(browser: Browser, filled: Runs) -> Iterator[Page]:
    """A tab of somebody who is not signed in; its console may hold errors."""
    context = browser.new_context(viewport=LAPTOP, base_url=filled.server.url)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def ask_now(tab: Page) -> None:
    """What coming back to the tab does: it asks the server without waiting for its time."""
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.fixture
def traces(page: Page) -> Callable[[str], list[dict[str, object]]]:
    """The traces that Plotly shows on the chart with this title."""

    def read(title: str) -> list[dict[str, object]]:
        card = page.locator(".card", has=page.get_by_role("heading", name=title, exact=True))
        card.locator(".js-plotly-plot .main-svg").first.wait_for()
        return card.locator(".js-plotly-plot").evaluate("plot => plot.data.map(({name, x, y}) => ({name, x: [...x], y: [...y]}))")

    return read
