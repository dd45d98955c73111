"""Names, series, logs and files come from runs: nothing of theirs may run in the reader's browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import Runs

VIEWS = {
    "table": ("/?q=attack", "name"),
    "queues": ("/queues", None),
    "settings": ("/task/{attack}", "setting"),
    "log": ("/task/{attack}?tab=log", "log"),
    "scalars": ("/task/{attack}?tab=scalars", "metric"),
    "plots": ("/task/{attack}?tab=plots", "plot"),
    "images": ("/task/{attack}?tab=images", "image"),
    "artifacts": ("/task/{attack}?tab=artifacts", "artifact"),
    "compared scalars": ("/compare?ids={attack},{fast}", "series"),
    "compared settings": ("/compare?ids={attack},{fast}&tab=settings", "key"),
    "parallel coordinates": ("/compare?ids={attack},{fast}&tab=parallel", "name"),
    "compared images": ("/compare?ids={attack},{fast}&tab=images", "image"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_texts_are_shown_as_texts(page: Page, ids: dict[str, str], view: str) -> None:
    address, text = VIEWS[view]
    page.goto(address.format(**ids))
    page.locator("main .view").wait_for()
    if text:
        expect(page.get_by_role("main")).to_contain_text(re.compile(rf"<script>window\.hacked='{text}'"))
    if view in ("scalars", "plots", "compared scalars"):
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        page.locator(".js-plotly-plot .nsewdrag").first.hover()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, img[src='x'], [onerror]").count() == 0
    links = page.locator("main a[href]").evaluate_all("links => links.map(link => link.href.baseVal ?? link.href)")
    assert [link for link in links if not link.startswith("http")] == []
    if view == "compared scalars":  # as is what a run notes of its scalars
        expect(page.locator(".card p.diverged").first).to_contain_text("not finite since step 1<img src=x")
    if view == "plots":  # what Plotly would take for markup stands there as it was written
        expect(page.locator(".js-plotly-plot .legendtext")).to_contain_text("<img src=x")
        expect(page.locator(".js-plotly-plot .xtitle")).to_contain_text('<a href="javascript:')


def test_the_page_runs_its_own_scripts_only(page: Page) -> None:
    answer = page.goto("/")
    assert answer is not None
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert "unsafe" not in policy["style-src-elem"]
    assert policy["frame-ancestors"] == "'none'"
    assert page.request.get("/page/main.js").headers["x-content-type-options"] == "nosniff"


def test_a_script_that_gets_into_the_document_does_not_run(visitor: Page, filled: Runs) -> None:
    visitor.goto(filled.server.login_url)
    visitor.evaluate("""() => {
        document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hacked = 1">');
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 2';
        document.body.append(script);
    }""")
    visitor.wait_for_timeout(200)
    assert visitor.evaluate("window.hacked") is None


def test_a_page_stored_by_a_run_is_saved_and_not_opened(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['attack']}?tab=artifacts")
    link = page.get_by_role("table", name="Artifacts").get_by_role("link", name=re.compile("attack"))
    address = link.get_attribute("href")
    assert address is not None
    headers = page.request.get(address).headers
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "attack.html"


@pytest.mark.parametrize("tab", ["scalars", "plots"])
def test_no_chart_can_be_uploaded(page: Page, ids: dict[str, str], tab: str) -> None:
    """Plotly's mode bar offers it by default, to any figure that says nothing, and to one whose layout asks for the button."""
    page.goto(f"/task/{ids['attack']}?tab={tab}")
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    buttons = page.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert any("Download" in title for title in buttons)
    assert [title for title in buttons if re.search("(?i)share|cloud|chart studio", title)] == []
    assert page.evaluate("document.querySelector('.js-plotly-plot')._context.plotlyServerURL") == ""
    script = page.request.get("/page/plotly.min.js")
    assert script.ok
    assert "cloud.plotly.com" not in script.text()
    assert page.request.get("/page/plotly.min.js", headers={"If-None-Match": script.headers["etag"]}).status == 304
