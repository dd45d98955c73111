"""Runs beside one another."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

Traces = Callable[[str], list[dict[str, list[float]]]]


@pytest.fixture
def both(ids: dict[str, str]) -> str:
    return f"/compare?ids={ids['fast']},{ids['slow']}"


def test_scalars_share_their_axes(page: Page, both: str, traces: Traces) -> None:
    page.goto(both)
    assert [(trace["name"], len(trace["x"])) for trace in traces("train/loss")] == [("fast", 60), ("slow", 60)]
    assert [trace["name"] for trace in traces("validation/recall@1")] == ["fast", "slow"]
    page.get_by_role("checkbox", name="Show fast").uncheck()
    expect(page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace")).to_have_count(1)
    assert [trace["name"] for trace in traces("train/loss")] == ["slow"]


def test_smoothing_axes_and_log_scale_are_in_the_address(page: Page, both: str, traces: Traces) -> None:
    page.goto(both)
    raw = traces("train/loss")[0]["y"]
    page.get_by_label("Smoothing").fill("0.9")
    page.get_by_label("Log scale").check()
    expect(page).to_have_url(re.compile("smooth=0.9&log=1"))
    page.reload()
    drawn = traces("train/loss")
    assert len(drawn) == 4, "each run has its raw line, faint, and the smoothed one"
    smoothed = drawn[1]["y"]
    assert smoothed[0] == pytest.approx(raw[0])
    assert raw[-1] < smoothed[-1] < raw[0]
    assert page.locator(".js-plotly-plot").first.evaluate("plot => plot.layout.yaxis.type") == "log"
    expect(page.get_by_label("Smoothing")).to_have_value("0.9")
    page.get_by_label("X axis").select_option("Time since start")
    expect(page.locator(".js-plotly-plot .xtitle").first).to_have_text("seconds since the first point")
    assert traces("train/loss")[0]["x"][0] == 0


def test_differing_settings_stand_out(page: Page, both: str, ids: dict[str, str]) -> None:
    page.goto(f"{both}&tab=settings")
    table = page.get_by_role("table", name="Settings of the runs")
    expect(table.get_by_role("row", name="optim.lr 0.001 0.0001")).to_have_class("differs")
    expect(table.get_by_role("row", name="train.epochs")).to_have_count(0)
    expect(page.get_by_text("1 of 4 settings differ")).to_be_visible()
    page.get_by_label("Only differences").uncheck()
    expect(table.get_by_role("row", name="train.epochs 4 4")).not_to_have_class("differs")
    page.get_by_role("searchbox", name="Filter the settings").fill("model")
    expect(table.get_by_role("row", name="optim.lr")).to_have_count(0)
    page.reload()
    expect(table.get_by_role("row", name="model.name small small")).to_be_visible()
    expect(page.get_by_label("Only differences")).not_to_be_checked()
    expect(table.get_by_role("row", name="Status")).to_have_count(0)
    page.get_by_role("searchbox", name="Filter the settings").fill("recall")
    expect(table.get_by_role("row").filter(has_text=re.compile("recall@1.*0.9833.*0.4917"))).to_be_visible()


def test_the_back_button_undoes_a_step(page: Page, both: str) -> None:
    page.goto(f"{both}&tab=settings")
    page.get_by_role("tab", name="Images").click()
    expect(page).to_have_url(re.compile("tab=images"))
    page.get_by_role("tab", name="Parallel").click()
    expect(page).to_have_url(re.compile("tab=parallel"))
    page.go_back()
    expect(page.get_by_role("tab", name="Images")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("tab", name="Settings")).to_have_attribute("aria-selected", "true")


def test_parallel_coordinates_of_settings_against_a_metric(page: Page, both: str, ids: dict[str, str]) -> None:
    page.goto(f"{both},{ids['broken']}&tab=parallel")
    chart = page.get_by_role("group", name="Parallel coordinates")
    expect(chart.get_by_role("link")).to_have_count(3)
    expect(chart.locator(".axis-name")).to_have_count(2)
    assert chart.locator(".axis-name title").all_text_contents() == ["optim.lr", "train/loss (last)"]
    page.get_by_label("Metric", exact=True).select_option("validation/recall@1")
    page.get_by_text("Axes", exact=True).click()
    page.get_by_role("checkbox", name="train.epochs").check()
    expect(chart.locator(".axis-name")).to_have_count(3)
    chart.get_by_role("link", name=re.compile("^fast")).focus()
    expect(page.get_by_text("fast: optim.lr 0.001, train.epochs 4, validation/recall@1 (last) 0.9833")).to_be_visible()
    page.reload()
    expect(chart.locator(".axis-name")).to_have_count(3)
    expect(page.get_by_label("Metric", exact=True)).to_have_value("validation/recall@1")


def test_images_side_by_side(page: Page, both: str) -> None:
    page.goto(f"{both}&tab=images")
    table = page.get_by_role("table", name="Images side by side")
    images = table.get_by_role("row", name="validation/sample 0").get_by_role("img")
    expect(images).to_have_count(2)
    for image in images.all():
        expect(image).to_have_js_property("naturalWidth", 64)
    expect(table.get_by_text("iteration 40")).to_have_count(2)
    page.get_by_label("Up to iteration").fill("0")
    expect(table.get_by_text("iteration 20")).to_have_count(2)
    expect(page).to_have_url(re.compile("at=20"))


def test_a_run_can_be_taken_out(page: Page, both: str, ids: dict[str, str]) -> None:
    page.goto(f"{both}&tab=settings")
    page.get_by_role("button", name="Remove slow").click()
    expect(page.get_by_role("heading", name="Comparing 1 run", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    page.get_by_role("link", name="Add or remove runs").click()
    expect(page.get_by_text("2 runs selected")).to_be_visible()
