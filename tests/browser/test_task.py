"""One run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from .conftest import Runs

Traces = Callable[[str], list[dict[str, object]]]


def test_settings_and_origin(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['fast']}")
    expect(page.get_by_role("heading", name="fast", level=1)).to_be_visible()
    settings = page.get_by_role("table", name="Settings")
    expect(settings.get_by_role("row", name="optim.lr 0.001")).to_be_visible()
    expect(page.get_by_role("table", name="Arguments as given").get_by_role("row", name="config smoke")).to_be_visible()
    origin = page.get_by_role("complementary", name="Origin")
    expect(origin).to_contain_text("clearml_tasks/clip/clearml_train.py")
    expect(origin).to_contain_text("0" * 40)
    page.get_by_placeholder("Setting…").fill("epochs")
    expect(settings.get_by_role("row", name="optim.lr")).to_be_hidden()
    expect(settings.get_by_role("row", name="train.epochs")).to_be_visible()


def test_a_failed_run_says_why_at_the_top(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['broken']}")
    alert = page.get_by_role("alert").filter(has_text="This run failed")
    expect(alert).to_have_text("This run failed. optim.lr: 10.0 is above the limit of 1.0")  # not what its agent says


def test_the_links_that_the_sdk_prints_lead_here(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/projects/1234/experiments/{ids['slow']}/output/log")
    expect(page.get_by_role("tab", name="Log")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("log")).to_contain_text("slow: epoch 1 of 4")
    page.goto(f"/datasets/simple/1234/experiments/{ids['child']}")
    expect(page.get_by_role("heading", name="tabletop-pairs", level=1)).to_be_visible()


def test_the_log_follows_while_lines_arrive(page: Page, filled: Runs) -> None:
    page.goto(f"/task/{filled.ids['live']}?tab=log")
    console = page.get_by_role("log")
    expect(console).to_contain_text("line 0")
    for number in range(1, 80):
        filled.say(f"line {number}")
    filled.say("progress 10%\rprogress 90%")
    filled.say("\x1b[32mline 80\x1b[0m")
    expect(console).to_contain_text("line 80\n")
    lines = console.inner_text().splitlines()
    assert [line for line in lines if line.startswith("line")] == [f"line {number}" for number in range(81)], "each once, in order"
    assert "progress 90%" in lines
    assert "\x1b" not in console.inner_text()
    assert console.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 2
    console.evaluate("log => log.scrollTo(0, 0)")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    filled.say("line 81")
    expect(console).to_contain_text("line 81")
    assert console.evaluate("log => log.scrollTop") == 0, "reading above is not disturbed"


def test_scalars_of_a_run(page: Page, ids: dict[str, str], traces: Traces) -> None:
    page.goto(f"/task/{ids['fast']}?tab=scalars")
    assert [(trace["name"], len(trace["x"])) for trace in traces("train")] == [("loss", 60)]  # type: ignore[arg-type]
    page.get_by_text("Machine", exact=True).click()
    assert traces("machine")[0]["name"] == "cpu_usage"


def test_plots_are_drawn(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['fast']}?tab=plots")
    expect(page.get_by_role("heading", name="validation/confusion · iteration 40")).to_be_visible()
    expect(page.locator(".js-plotly-plot .heatmaplayer")).to_have_count(1)


def test_images_by_iteration(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['fast']}?tab=images")
    expect(page.get_by_role("heading", name="Iteration 40")).to_be_visible()
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["Iteration 40", "Iteration 20"]
    images = page.get_by_role("img", name=re.compile("sample 0"))
    expect(images).to_have_count(2)
    for image in images.all():
        expect(image).to_have_js_property("naturalWidth", 64)
    page.get_by_role("button", name="Enlarge validation/sample 0, iteration 20").click()
    expect(page.get_by_role("dialog")).to_contain_text("iteration 20")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_artifacts_and_models_are_downloaded(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/task/{ids['fast']}?tab=artifacts")
    with page.expect_download() as download:
        page.get_by_role("table", name="Artifacts").get_by_role("link", name="predictions").click()
    assert json.loads(Path(download.value.path()).read_text()) == {"recall": 0.5, "run": "fast"}
    with page.expect_download() as download:
        page.get_by_role("table", name="Models").get_by_role("link", name="fast model").click()
    assert Path(download.value.path()).read_bytes() == b"weights of fast"


def test_stopping_a_run_asks_first(page: Page, filled: Runs) -> None:
    call = filled.server.call
    project = call("projects.get_all", name="^clearml-example-project$")["projects"][0]["id"]
    task = call("tasks.create", name="endless", type="training", project=project, script={"entry_point": "x.py"})["id"]
    call("tasks.enqueue", task=task, queue=call("queues.get_all", name="^gpu01$")["queues"][0]["id"])
    page.goto(f"/task/{task}")
    page.get_by_role("button", name="Remove from queue").click()
    page.get_by_role("button", name="Cancel").click()
    assert call("tasks.get_by_id", task=task)["task"]["status"] == "queued"
    page.get_by_role("button", name="Remove from queue").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("Draft", exact=True)).to_be_visible()
    call("tasks.started", task=task)
    page.reload()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_text("Stopped", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
