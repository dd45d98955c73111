"""What runs report, and how it is read back."""

from __future__ import annotations

import json
import math
import statistics
import sys
from typing import Any

import pytest
import requests
from support.events import NewTask, log_line, scalar
from support.server import LocalServer


def curve(server: LocalServer, task: str, **asked: Any) -> tuple[list[Any], list[float]]:
    line = server.call("events.scalar_metrics_iter_histogram", task=task, **asked)["loss"]["train"]
    assert line["name"] == "train"
    return line["x"], line["y"]


def test_a_curve_comes_back_as_it_was_reported(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    answer = server.report(*(scalar(task, step, 1 / step) for step in (3, 1, 2)))
    assert answer == {"added": 3, "errors": 0, "errors_info": {}}
    assert curve(server, task) == ([1, 2, 3], [1.0, 0.5, 1 / 3])
    assert curve(server, task, key="timestamp")[0] == [1_700_000_001_000, 1_700_000_002_000, 1_700_000_003_000]
    assert curve(server, task, key="iso_time")[0][0] == "2023-11-14T22:13:21.000+00:00"
    line = server.call("events.scalar_metrics_iter_histogram", task=task, key="timestamp")["loss"]["train"]
    assert line["iter"] == [1, 2, 3]


def test_a_time_far_from_now_harms_no_curve(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, 1, 0.5, timestamp=2**62))
    assert curve(server, task, key="iso_time") == (["9999-12-31T23:59:59.000+00:00"], [0.5])


def test_a_long_curve_is_averaged_over_equal_stretches(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    values = [math.sin(step / 50) for step in range(1000)]
    server.report(*(scalar(task, step, value) for step, value in enumerate(values)))
    x, y = curve(server, task, samples=10)
    assert x == list(range(0, 1000, 100))
    assert y == pytest.approx([statistics.fmean(values[start : start + 100]) for start in x])
    assert len(curve(server, task, samples=0)[0]) == 1000
    assert len(curve(server, task)[0]) == 1000


def test_the_last_report_for_an_iteration_counts(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, 1, 0.5), scalar(task, 2, 0.7))
    server.report(scalar(task, 1, 0.6, timestamp=1_800_000_000_000))
    assert curve(server, task) == ([1, 2], [0.6, 0.7])


def test_a_repeated_batch_changes_nothing(server: LocalServer, new_task: NewTask) -> None:
    """A client repeats a request whose answer was lost."""
    task = new_task()
    batch = [scalar(task, step, float(step)) for step in range(5)]
    server.report(*batch)
    server.report(*batch)
    assert server.call("events.get_task_events", task=task, event_type="training_stats_scalar")["total"] == 5


def test_last_metrics_keep_last_least_and_greatest(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, 1, 0.9), scalar(task, 5, 0.1))
    server.report(scalar(task, 9, 0.4), scalar(task, 3, 0.95))
    seen = server.call("tasks.get_by_id", task=task)["task"]
    ((metric,),) = (list(variants.values()) for variants in seen["last_metrics"].values())
    assert (metric["value"], metric["min_value"], metric["min_value_iteration"]) == (0.4, 0.1, 5)
    assert (metric["max_value"], metric["max_value_iteration"]) == (0.95, 3)
    assert seen["last_iteration"] == 9


def test_curves_of_many_tasks(server: LocalServer, new_task: NewTask) -> None:
    one, two = new_task("one"), new_task("two")
    server.report(scalar(one, 1, 1.0), scalar(two, 1, 2.0), scalar(two, 1, 0.5, metric="acc"))
    answer = server.call("events.multi_task_scalar_metrics_iter_histogram", tasks=[one, two])["metrics"]
    assert {task: (line["name"], line["y"]) for task, line in answer["loss"]["train"].items()} == {one: ("one", [1.0]), two: ("two", [2.0])}
    assert list(answer["acc"]["train"]) == [two]
    refused = server.ask("events.multi_task_scalar_metrics_iter_histogram", tasks=[one] * 101)
    assert refused.status_code == 400


def test_single_values_are_no_curves(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, -(2**31), 0.8, metric="Summary", variant="score"))
    (found,) = server.call("events.get_task_single_value_metrics", tasks=[task])["tasks"]
    assert [(value["metric"], value["variant"], value["value"]) for value in found["values"]] == [("Summary", "score", 0.8)]
    assert server.call("events.scalar_metrics_iter_histogram", task=task) == {}
    assert server.call("tasks.get_by_id", task=task)["task"]["last_iteration"] == 0


@pytest.mark.parametrize("value", ["high", "NaN", "Infinity", [1]])
def test_what_is_no_number_is_refused(server: LocalServer, new_task: NewTask, value: Any) -> None:
    answer = server.ask("events.add", **scalar(new_task(), 1, value))
    assert (answer.status_code, answer.json()["meta"]["result_msg"]) == (400, "Events not added: value must be a finite number")


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400])
def test_what_is_no_finite_number_is_refused_and_leaves_no_trace(server: LocalServer, new_task: NewTask, value: str) -> None:
    """As text: clients write what JSON does not know, Python's NaN and numbers beyond the largest double."""
    task = new_task()
    event = json.dumps(scalar(task, 1, 0.0)).replace('"value": 0.0', f'"value": {value}')
    refused = requests.post(f"{server.url}/v2.23/events.add_batch", data=event, auth=server.keys, timeout=60)
    assert refused.status_code == 400
    assert refused.json()["meta"]["result_msg"] == "Events not added: value must be a finite number"
    answer = server.report(scalar(task, 2, 0.5), json.loads(event), scalar(task, 3, 0.25))
    assert (answer["added"], answer["errors_info"]) == (2, {"value must be a finite number": 1})
    assert curve(server, task) == ([2, 3], [0.5, 0.25])
    ((metric,),) = (list(variants.values()) for variants in server.call("tasks.get_by_id", task=task)["task"]["last_metrics"].values())
    assert (metric["value"], metric["min_value"], metric["max_value"]) == (0.25, 0.25, 0.5)
    (latest,) = server.call("events.get_task_latest_scalar_values", task=task)["metrics"]
    assert latest["variants"] == [{"name": "train", "last_value": 0.25, "last_100_value": 0.375}]


def test_a_mean_of_the_largest_numbers_is_a_number(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(*(scalar(task, step, sys.float_info.max) for step in range(10)))
    assert curve(server, task, samples=2) == ([0, 5], [sys.float_info.max] * 2)
    (latest,) = server.call("events.get_task_latest_scalar_values", task=task)["metrics"]
    assert latest["variants"][0]["last_100_value"] == sys.float_info.max


def test_iterations_that_are_no_integers_are_refused(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    for iteration in (10**400, 2**63, -(2**63), "one"):
        assert server.ask("events.add", **scalar(task, 1, 0.5) | {"iter": iteration}).status_code == 400, iteration


def test_a_batch_with_some_bad_events_keeps_the_others(own_server: Any) -> None:
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    answer = server.report(scalar(task, 1, 1.0), scalar("0" * 32, 1, 1.0), scalar(task, 2, math.nan), {"type": "unheard of", "task": task})
    assert (answer["added"], answer["errors"]) == (1, 3)
    assert any("Invalid task id" in reason for reason in answer["errors_info"])
    assert curve(server, task) == ([1], [1.0])


def test_published_tasks_take_events_only_when_told_to(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task, publish=True)
    assert server.ask("events.add", **scalar(task, 1, 1.0)).status_code == 400
    server.call("events.add", **scalar(task, 1, 1.0), allow_locked=True)


def texts(answer: dict[str, Any]) -> list[str]:
    return [event["msg"] for event in answer["events"]]


def test_the_log_is_read_from_the_end_and_followed(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(*(log_line(task, f"line {index}", 1000 + index) for index in range(5)))
    latest = server.call("events.get_task_log", task=task, batch_size=2)
    assert (texts(latest), latest["total"]) == (["line 4", "line 3"], 5)
    earlier = server.call("events.get_task_log", task=task, batch_size=2, from_timestamp=latest["events"][-1]["timestamp"])
    assert texts(earlier) == ["line 2", "line 1"]
    from_start = server.call("events.get_task_log", task=task, navigate_earlier=False, batch_size=3)
    assert texts(from_start) == ["line 0", "line 1", "line 2"]
    server.report(log_line(task, "line 5", 1005))
    followed = server.call("events.get_task_log", task=task, navigate_earlier=False, from_timestamp=from_start["events"][-1]["timestamp"])
    assert texts(followed) == ["line 3", "line 4", "line 5"]
    assert texts(server.call("events.get_task_log", task=task, batch_size=2, order="asc")) == ["line 4", "line 5"]


def test_log_lines_of_one_millisecond_stay_together(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(*(log_line(task, f"line {index}", 1000) for index in range(4)), log_line(task, "next", 1001))
    first = server.call("events.get_task_log", task=task, navigate_earlier=False, batch_size=2)
    rest = server.call("events.get_task_log", task=task, navigate_earlier=False, from_timestamp=first["events"][-1]["timestamp"])
    assert texts(first) + texts(rest) == ["line 0", "line 1", "line 2", "line 3", "next"]


def picture(task: str, kind: str, iteration: int, name: str, **more: Any) -> dict[str, Any]:
    event = {"type": kind, "task": task, "metric": "pictures", "variant": name, "iter": iteration, "timestamp": 1000 + iteration}
    return event | more


def test_a_plot_replaces_the_one_of_its_iteration(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    for iteration, text in ((1, "{}"), (1, '{"new": 1}'), (2, "{}")):
        server.report(picture(task, "plot", iteration, "p", plot_str=text))
    latest = server.call("events.get_task_plots", task=task)
    assert [plot["iter"] for plot in latest["plots"]] == [2]
    both = server.call("events.get_task_plots", task=task, iters=5)
    assert [(plot["iter"], plot["plot_str"]) for plot in both["plots"]] == [(2, "{}"), (1, '{"new": 1}')]
    many = server.call("events.get_multi_task_plots", tasks=[task])["plots"]
    assert many["pictures"]["p"][task]["2"]["plots"][0]["plot_str"] == "{}"


def test_images_by_iteration_and_not_those_whose_file_was_overwritten(server: LocalServer, new_task: NewTask) -> None:
    """The SDK uses file names again after some iterations: the older event would show the newer picture."""
    task = new_task()
    for iteration in range(4):
        server.report(picture(task, "training_debug_image", iteration, "a", url=f"http://h/{iteration % 3}.jpg", key="k"))

    def shown(**asked: Any) -> list[tuple[int, str]]:
        (found,) = server.call("events.debug_images", metrics=[{"task": task, "metric": "pictures"}], **asked)["metrics"]
        return [(each["iter"], event["url"]) for each in found["iterations"] for event in each["events"]]

    assert shown() == [(3, "http://h/0.jpg")]
    assert shown(iters=9) == [(3, "http://h/0.jpg"), (2, "http://h/2.jpg"), (1, "http://h/1.jpg")]
    scroll = server.call("events.debug_images", metrics=[{"task": task, "metric": "pictures"}], iters=2)["scroll_id"]
    assert shown(iters=2, scroll_id=scroll) == [(1, "http://h/1.jpg")]
    metrics = server.call("events.get_task_metrics", tasks=[task], event_type="training_debug_image")["metrics"]
    assert metrics == [{"task": task, "metrics": ["pictures"]}]


def test_a_model_has_events_of_its_own(server: LocalServer, new_task: NewTask) -> None:
    model = server.call("models.create", name="weights", uri="file:///w", ready=False)["id"]
    server.call("events.add", **scalar(model, 1, 0.25), model_event=True)
    answer = server.call("events.scalar_metrics_iter_histogram", task=model, model_events=True)
    assert answer["loss"]["train"]["y"] == [0.25]
