"""Signing in, errors, the keyboard, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .conftest import Runs, ask_now


def page_key(filled: Runs) -> str:
    return filled.server.login_url.partition("key=")[2]


def test_signing_in_asks_for_the_key_and_returns_to_the_requested_page(visitor: Page, filled: Runs) -> None:
    target = f"/compare?ids={filled.ids['fast']},{filled.ids['slow']}&tab=settings"
    visitor.goto(target)
    expect(visitor.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.get_by_label("Server key").fill("wrong")
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.get_by_role("alert")).to_have_text("This key is not valid for this server.")
    visitor.get_by_label("Server key").fill(page_key(filled))
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    assert visitor.url.endswith(target)
    [cookie] = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example"]
)
def test_signing_in_leads_nowhere_else(visitor: Page, filled: Runs, elsewhere: str) -> None:
    answer = visitor.request.get("/login", params={"key": page_key(filled), "next": elsewhere}, max_redirects=0)
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_errors_are_one_line_and_go_away(visitor: Page, filled: Runs) -> None:
    visitor.goto(filled.server.login_url)
    expect(visitor.get_by_role("row").nth(1)).to_be_visible()
    visitor.route("**/tasks.get_all", lambda route: route.abort())
    ask_now(visitor)
    expect(visitor.get_by_role("alert")).to_have_text("The server does not answer. Is it still running?")
    expect(visitor.get_by_role("row").nth(1)).to_be_visible()
    visitor.unroute("**/tasks.get_all")
    ask_now(visitor)
    expect(visitor.get_by_role("alert")).to_be_hidden()
    visitor.context.clear_cookies()
    ask_now(visitor)
    expect(visitor.get_by_role("alert")).to_have_text("You are signed out. Sign in")
    expect(visitor.get_by_role("link", name="Sign in")).to_have_attribute("href", re.compile(r"/login\?next=%2F"))


def test_the_keyboard_alone_compares_two_runs(page: Page) -> None:
    page.goto("/?project=clearml-example-project&status=completed")
    expect(page.get_by_role("link", name="fast", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter")).to_be_focused()
    boxes = 0
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => {
            const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
            return {name: document.activeElement.ariaLabel ?? document.activeElement.textContent, outlineStyle, outlineWidth};
        }""")
        assert focused["outlineStyle"] != "none", "focus can be seen"
        if focused["name"] in ("Select fast", "Select slow"):
            page.keyboard.press("Space")
            boxes += 1
        if focused["name"] == "Compare":
            break
    assert boxes == 2
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    page.get_by_role("tab", name="Scalars").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Settings")).to_be_focused()
    expect(page.get_by_role("table", name="Settings of the runs")).to_be_visible()


@pytest.mark.parametrize("address", ["/", "/task/{fast}", "/task/{live}?tab=log", "/compare?ids={fast},{slow}", "/datasets", "/queues"])
def test_everything_that_can_be_operated_has_a_name(page: Page, ids: dict[str, str], address: str) -> None:
    page.goto(address.format(**ids))
    expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
    page.locator("main .view > *").first.wait_for()
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, select, a[href], summary')].filter(element =>
        !(element.ariaLabel || element.textContent.trim() || element.labels?.length && element.labels[0].textContent.trim()))
        .map(element => element.outerHTML)""")
    assert nameless == []
    assert page.get_by_role("heading", level=1).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_light_and_dark(signed_in: BrowserContext, scheme: str) -> None:
    """WCAG's contrast of at least 4.5 between each colour of text and the backgrounds it stands on."""
    tab = signed_in.new_page()
    tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    tab.goto("/datasets")
    contrasts = tab.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
            const hex = style.getPropertyValue(name).trim().slice(1);
            const [r, g, b] = [0, 2, 4].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
                .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const pairs = [['--text', '--bg'], ['--text', '--differs'], ['--muted', '--bg'], ['--muted', '--surface'], ['--muted', '--sunken'],
            ['--accent', '--surface'], ['--accent-text', '--accent'], ['--good', '--surface'], ['--waiting', '--surface'],
            ['--bad', '--surface'], ['--bad', '--bad-soft'], ['--text', '--bad-soft']];
        return Object.fromEntries(pairs.map(([text, ground]) => {
            const [low, high] = [light(text), light(ground)].sort((a, b) => a - b);
            return [`${text} on ${ground}`, (high + 0.05) / (low + 0.05)];
        }));
    }""")
    tab.close()
    assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}
