"""Runs whose values were not finite: nowhere on the page a number, everywhere said. What they hold is in fill.py, by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.metrics import Metrics

Traces = Callable[[str], list[dict[str, Any]]]
NAMES = ("healthy", "late", "mended", "never")


@pytest.fixture
def all_four(ids: dict[str, str]) -> str:
    return f"/compare?ids={','.join(ids[name] for name in NAMES)}"


def card(page: Page, title: str) -> Locator:
    return page.locator(".card", has=page.get_by_role("heading", name=title, exact=True))


def points(trace: dict[str, Any]) -> dict[int, float]:
    return dict(zip(trace["x"], trace["y"], strict=True))


def test_a_curve_is_interrupted_and_marked_where_it_was_not_finite(page: Page, all_four: str, traces: Traces) -> None:
    page.goto(all_four)
    drawn = traces("a loss/train")
    assert [trace["name"] for trace in drawn] == ["healthy", "late", "late", "mended", "mended", "never"]
    healthy, late, late_marks, mended, mended_marks, never = drawn
    assert never["x"] == []
    assert (len(healthy["x"]), None in healthy["y"]) == (20, False)
    assert points(late) == {step: 4 / step for step in range(1, 15)}
    assert points(late_marks) == {15: 4 / 14}
    assert mended["y"].index(None) == 6, "after the six points at steps 3 to 8"
    assert [y for y in mended["y"] if y is not None] == [5 / step for step in range(3, 9)] + [6 / step for step in range(13, 21)]
    assert points(mended_marks) == {1: 5 / 3, 9: 5 / 8}
    assert not any(trace["y"] and 0 in trace["y"] for trace in drawn)
    words = "late not finite since step 15; mended not finite at steps 1 to 2, at steps 9 to 12; never not finite since step 1"
    expect(card(page, "a loss/train").get_by_text(words)).to_be_visible()
    expect(card(page, "accuracy").get_by_text("finite")).to_have_count(0)


def test_the_gap_stays_over_time_and_when_smoothed(page: Page, ids: dict[str, str], traces: Traces) -> None:
    page.goto(f"/compare?ids={ids['mended']}&x=relative&smooth=0.5")
    raw, smooth, marks = traces("a loss/train")
    assert raw["y"].index(None) == smooth["y"].index(None) == 6
    assert len(raw["y"]) == len(smooth["y"]) == 15
    assert marks["y"] == [smooth["y"][0], smooth["y"][5]]


def test_a_series_that_was_never_finite_has_its_chart(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['never']}?tab=scalars")
    expect(card(page, "a loss").get_by_text("train not finite since step 1", exact=True)).to_be_visible()
    expect(card(page, "a loss").get_by_text("no value was finite")).to_be_visible()
    expect(page.get_by_text("No longer finite: grasp/effort since step 1; a loss/train since step 1")).to_be_visible()


def test_the_side_by_side_table_has_no_number_for_it(page: Page, all_four: str) -> None:
    page.goto(f"{all_four}&tab=settings")
    table = page.get_by_role("table", name="Settings of the runs")
    results = table.locator("tbody", has=page.get_by_role("rowheader", name="Last value (minimum … maximum)"))
    expect(results.get_by_role("rowheader").nth(1)).to_have_text("grasp/effort")  # what the workload declares as its main metric
    cells = results.get_by_role("row", name="a loss/train").get_by_role("cell")
    assert [" ".join(text.split()) for text in cells.all_inner_texts()] == [
        "0.15 0.15 … 3",
        "not finite since step 15",
        "0.3 0.3 … 1.667; not finite at steps 1 to 2, at steps 9 to 12",
        "not finite since step 1",
    ]
    expect(table.get_by_role("row", name=re.compile("not_finite|metrics"))).to_have_count(0)


def test_parallel_coordinates_put_it_on_no_scale(page: Page, all_four: str) -> None:
    page.goto(f"{all_four}&tab=parallel")
    expect(page.get_by_label("Metric", exact=True)).to_have_value("grasp/effort")
    page.get_by_label("Metric", exact=True).select_option("a loss/train")
    chart = page.get_by_role("group", name="Parallel coordinates")
    said = [line.get_attribute("aria-label") or "" for line in chart.get_by_role("link").all()]
    assert [line.rpartition(", ")[2] for line in said] == [
        "a loss/train (last) 0.15",
        "a loss/train (last) not finite",
        "a loss/train (last) 0.3",
        "a loss/train (last) not finite",
    ]
    ticks = chart.locator(".metric-axis .tick title").all_text_contents()
    assert ticks == ["0.15", "0.3", "not finite"]
    grey = "#8b8e94"
    assert [line.locator(".ink").get_attribute("stroke") == grey for line in chart.get_by_role("link").all()] == [False, True, False, True]
    axes = chart.locator(".axis-name title").all_text_contents()
    assert axes == ["optim.lr", "a loss/train (last)"], "what a run notes of its scalars is no setting"


def test_the_table_of_runs_says_so_and_sorts_it_last(page: Page) -> None:
    page.goto("/?project=diverging")
    expect(page.get_by_role("columnheader", name="grasp/effort")).to_be_visible()
    headers = page.get_by_role("columnheader").all_inner_texts()
    assert headers.index("grasp/effort") < headers.index("a loss/train"), "the main metric is the first of the scalars"
    rows = {name: page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True)) for name in NAMES}
    expect(rows["late"].get_by_role("cell", name="not finite", exact=True)).to_have_count(2)
    expect(rows["late"].locator(".status ~ .diverged")).to_have_attribute("title", "grasp/effort since step 15; a loss/train since step 15")
    expect(rows["mended"].get_by_text("not finite")).to_have_count(0)
    column = page.get_by_role("columnheader", name="grasp/effort")
    for order in (["mended", "healthy"], ["healthy", "mended"]):
        column.get_by_role("button").click()
        listed = page.locator("tbody th[scope=row]").all_inner_texts()
        assert (listed[:2], set(listed[2:])) == (order, {"late", "never"})


NAMED = [
    ("b", "x"),
    ("a", "x"),
    ("loss", "loss"),
    ("recall@1", "image to text"),
    ("recall@10", "image to text"),
    ("zero-shot a.b", "top-1"),
    ("a" * 3000, "y"),
]
DECLARED: list[dict[str, Any]] = [
    {},
    {"main": "recall@1/image to text"},
    {"main": ["zero-shot */top-1", "recall@*/*"]},
    {"main": ["a.x/*", "loss/loss"]},
    {"main": ["*/x"]},
    {"main": ["*e*o*/*t*p-1", "r*@1*/*image*"]},
    {"main": "*a" * 30 + "/x"},
]


@pytest.mark.parametrize("declared", DECLARED)
def test_the_page_reads_a_declaration_as_the_command_line_does(page: Page, declared: dict[str, Any]) -> None:
    page.goto("/")
    script = """async ([named, stated]) => {
        const { lastMetrics, mainFirst, mainOf } = await import("/page/metrics.js");
        const variants = Object.fromEntries(named.map(([metric, variant]) => [metric, { metric, variant, value: 1 }]));
        const task = { last_metrics: { variants }, hyperparams: { properties: { metrics: { value: stated } } } };
        return [mainFirst([...lastMetrics(task).keys()], [task]), mainOf(task) ?? null];
    }"""
    metrics, names = Metrics.of(declared), ["/".join(pair) for pair in NAMED]
    said = {"loss/loss": "loss"}  # the page does not say a name twice
    main = metrics.main_of(names)
    ordered = [said.get(name, name) for name in metrics.main_first(names)]
    assert page.evaluate(script, [NAMED, metrics.stated()]) == [ordered, main and said.get(main, main)]


def test_figures_with_gaps_are_drawn_whoever_wrote_them(page: Page, ids: dict[str, str]) -> None:
    """The SDK writes NaN into the figure's JSON, where a browser knows none; our report writes null."""
    page.goto(f"/task/{ids['late']}?tab=plots")
    for name in ("by report/gaps", "by the SDK alone/gaps"):
        expect(card(page, name).locator(".heatmaplayer")).to_have_count(1)
        assert card(page, name).locator(".js-plotly-plot").evaluate("plot => plot.data[0].z") == [[1, None], [None, 4]]
