"""The table of runs, the datasets and the queues."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.server import LocalServer

from .conftest import Runs, ask_now
from .screenshot import LAPTOP

TABLE = "/?project=clearml-example-project"


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def names(page: Page) -> list[str]:
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    return page.locator("tbody th[scope=row]").all_inner_texts()


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_row_says_what_a_run_is(page: Page) -> None:
    page.goto(TABLE)
    fast = row(page, "fast")
    for text in ("clearml-example-project", "clip", "Completed", "baseline"):
        expect(fast.get_by_text(text, exact=True)).to_be_visible()
    expect(row(page, "broken").get_by_text("Failed", exact=True)).to_have_attribute("title", re.compile("above the limit"))
    expect(row(page, "live").get_by_text("Running", exact=True)).to_be_visible()
    expect(row(page, "waiting").get_by_text("Queued", exact=True)).to_be_visible()
    assert page.get_by_role("columnheader", name="validation/recall@1").is_visible()
    expect(fast.get_by_role("cell", name="0.9833", exact=True)).to_be_visible()
    assert page.get_by_text("tabletop-pairs").count() == 0, "datasets have a page of their own"


def test_the_filter_looks_for_every_word_and_is_in_the_address(page: Page) -> None:
    page.goto(TABLE)
    page.get_by_role("searchbox", name="Filter").fill("CLIP slow")
    expect(row(page, "fast")).to_have_count(0)
    assert names(page) == ["slow"]
    assert query(page)["q"] == ["CLIP slow"]
    page.reload()
    assert names(page) == ["slow"]
    page.get_by_role("searchbox", name="Filter").fill("no such run")
    expect(page.get_by_text("No run matches this filter.")).to_be_visible()


def test_runs_are_filtered_by_status_and_project(page: Page, ids: dict[str, str]) -> None:
    page.goto("/")
    page.get_by_label("Project").select_option("clearml-example-project")
    page.get_by_role("group", name="Status").get_by_role("button", name="Failed").click()
    expect(row(page, "fast")).to_have_count(0)
    assert names(page) == ["broken"]
    page.get_by_role("group", name="Status").get_by_role("button", name="Completed").click()
    expect(row(page, "fast")).to_be_visible()
    assert sorted(names(page)) == ["broken", "fast", "slow"]
    page.go_back()
    expect(row(page, "fast")).to_have_count(0)
    assert names(page) == ["broken"]


def test_every_column_sorts_both_ways(page: Page) -> None:
    page.goto(f"{TABLE}&status=completed,failed")
    column = page.get_by_role("columnheader", name="validation/recall@1")
    column.get_by_role("button").click()
    expect(column).to_have_attribute("aria-sort", "descending")
    assert names(page) == ["fast", "slow", "broken"], "a run without the value comes last"
    column.get_by_role("button").click()
    expect(column).to_have_attribute("aria-sort", "ascending")
    assert names(page) == ["slow", "fast", "broken"]
    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    assert names(page) == ["broken", "fast", "slow"]


def test_columns_of_last_values_can_be_chosen(page: Page) -> None:
    page.goto(TABLE)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("train/loss").uncheck()
    expect(page.get_by_role("columnheader", name="train/loss")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="validation/recall@1")).to_be_visible()
    assert query(page)["metrics"] == ["validation/recall@1"]


def test_picked_runs_stay_picked_and_lead_to_their_comparison(page: Page, ids: dict[str, str]) -> None:
    page.goto(TABLE)
    row(page, "slow").get_by_role("checkbox").check()
    expect(page.get_by_text("Select another run to compare.")).to_be_visible()
    row(page, "fast").get_by_role("checkbox").check()
    page.get_by_role("searchbox", name="Filter").fill("slow")
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    page.reload()
    expect(row(page, "slow").get_by_role("checkbox")).to_be_checked()
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    assert query(page)["ids"] == [f"{ids['slow']},{ids['fast']}"]


def test_new_runs_appear_without_taking_focus_or_selection(page: Page, filled: Runs) -> None:
    page.goto(TABLE)
    row(page, "fast").get_by_role("checkbox").check()
    page.get_by_role("link", name="slow", exact=True).focus()
    project = filled.server.call("projects.get_all", name="^clearml-example-project$")["projects"][0]["id"]
    task = filled.server.call("tasks.create", name="newcomer", type="training", project=project)["id"]
    ask_now(page)
    expect(row(page, "newcomer").get_by_text("Draft")).to_be_visible()
    expect(page.get_by_role("link", name="slow", exact=True)).to_be_focused()
    expect(row(page, "fast").get_by_role("checkbox")).to_be_checked()
    filled.server.call("tasks.edit", task=task, tags=["late"])
    ask_now(page)
    expect(row(page, "newcomer").get_by_text("late", exact=True)).to_be_visible()


def test_hundreds_of_runs_are_paged_and_a_hundred_can_be_compared(page: Page, filled: Runs) -> None:
    project = filled.server.call("projects.create", name="many")["id"]
    made = [filled.server.call("tasks.create", name=f"run {i:03}", type="training", project=project)["id"] for i in range(105)]
    page.goto("/?project=many&sort=name")
    expect(page.get_by_text("Page 1 of 3")).to_be_visible()
    assert names(page) == [f"run {i:03}" for i in range(50)]
    page.get_by_role("checkbox", name="Select all runs on this page").check()
    expect(page.get_by_text("50 runs selected")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()
    assert names(page)[0] == "run 050"
    page.goto(f"/?project=many&pick={','.join(made)}")
    expect(page.get_by_text("At most 100 runs can be compared.")).to_be_visible()
    page.goto(f"/compare?ids={','.join(made)}")
    expect(page.get_by_role("heading", name="Comparing 100 runs")).to_be_visible()
    expect(page.get_by_text("The first 100 of 105.")).to_be_visible()


def test_datasets_have_versions_sizes_and_parents(page: Page, ids: dict[str, str]) -> None:
    page.goto("/datasets")
    child = page.get_by_role("row").filter(has=page.locator(f"a[href$='/task/{ids['child']}']")).first
    expect(child.get_by_text("1.0.1", exact=True)).to_be_visible()
    expect(child.get_by_text("public", exact=True)).to_be_visible()
    expect(child.get_by_text("21 B", exact=True)).to_be_visible()
    expect(child.get_by_role("link", name="tabletop-pairs 1.0.0")).to_have_attribute("href", re.compile(f"/task/{ids['dataset']}$"))
    page.get_by_role("searchbox", name="Filter").fill("1.0.0")
    expect(page.get_by_text("1 of 2 versions")).to_be_visible()


def test_queues_show_what_waits_and_what_agents_do(page: Page, filled: Runs) -> None:
    live, queue = filled.ids["live"], filled.server.call("queues.get_all", name="^gpu01$")["queues"][0]["id"]
    filled.server.call("workers.register", worker="host:gpu0", queues=[queue], timeout=600)
    filled.server.call("workers.status_report", worker="host:gpu0", queues=[queue], task=live, timestamp=1)
    page.goto("/queues")
    waiting = page.get_by_role("row").filter(has=page.get_by_role("link", name="waiting"))
    expect(waiting.get_by_role("cell", name="clip", exact=True)).to_be_visible()
    agent = page.get_by_role("row").filter(has_text="host:gpu0")
    expect(agent.get_by_role("link", name="live")).to_be_visible()
    expect(agent.get_by_role("cell", name="gpu01", exact=True)).to_be_visible()


@pytest.mark.usefixtures("filled")
def test_an_empty_server_says_what_to_type(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    server = LocalServer(tmp_path_factory.mktemp("empty") / "data")
    tab = browser.new_page(viewport=LAPTOP, base_url=server.url)
    tab.goto(server.login_url)
    expect(tab.get_by_text("registry enqueue clip --smoke")).to_be_visible()
    tab.goto("/datasets")
    expect(tab.get_by_text("registry dataset create NAME --folder DIR")).to_be_visible()
    tab.goto("/queues")
    expect(tab.get_by_text("registry enqueue WORKLOAD --queue default")).to_be_visible()
    expect(tab.get_by_text("registry up --agents 1")).to_be_visible()
    tab.goto("/compare")
    expect(tab.get_by_text("Select runs in the table")).to_be_visible()
    tab.goto("/task/0123")
    expect(tab.get_by_text("no run with this ID")).to_be_visible()
    tab.close()
    server.stop()
