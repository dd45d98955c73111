"""The server's end points against the SDK's own schemas, read from the SDK."""

from __future__ import annotations

import inspect

import pytest
from support.validation import schemas, versions, violations

import local_server.app  # noqa: F401  (enters all end points)
from local_server.endpoints import CALLER, Endpoint, conforms, endpoints

NEWEST = schemas(versions()[-1])
KNOWN = [endpoint for endpoint in endpoints() if endpoint.name in NEWEST and not endpoint.batch]
# What newer clients or the agent send beyond the SDK's schemas.
BEYOND = {
    "tasks.dequeue": {"new_status", "remove_from_all_queues"},
    "tasks.enqueue": {"force"},
    "queues.remove_task": {"update_task_status"},
    "events.multi_task_scalar_metrics_iter_histogram": {"metrics"},
}
# The table of what the SDK, the command line and the agent call.
CALLED = """
    projects.get_all projects.create projects.get_by_id projects.update
    tasks.create tasks.get_by_id tasks.get_all tasks.started tasks.edit tasks.edit_hyper_params tasks.set_requirements
    tasks.add_or_update_artifacts tasks.add_or_update_model tasks.completed tasks.failed tasks.enqueue tasks.clone tasks.dequeue
    tasks.stop tasks.stopped tasks.delete tasks.ping tasks.reset tasks.publish tasks.get_hyper_params tasks.delete_hyper_params
    tasks.delete_artifacts tasks.edit_configuration
    events.add_batch events.scalar_metrics_iter_histogram events.multi_task_scalar_metrics_iter_histogram
    events.get_task_single_value_metrics events.get_task_plots events.get_task_log events.debug_images events.get_task_events
    models.create models.edit models.get_by_id models.get_all models.update_for_task models.delete models.set_ready
    models.add_or_update_metadata models.archive_many models.unarchive_many
    queues.get_by_id queues.get_all queues.create queues.get_next_task queues.get_num_entries queues.get_default
    workers.get_all workers.register workers.status_report workers.unregister
"""


def test_every_end_point_that_the_clients_call_is_there() -> None:
    assert set(CALLED.split()) <= {endpoint.name for endpoint in endpoints()}


@pytest.mark.parametrize("endpoint", KNOWN, ids=lambda endpoint: endpoint.name)
def test_a_handlers_signature_is_the_sdks_schema(endpoint: Endpoint) -> None:
    schema = NEWEST[endpoint.name].request
    given = list(inspect.signature(endpoint.handler).parameters.values())[1:]
    parameters = [each for each in given if each.kind is not each.VAR_KEYWORD and each.name != CALLER]
    assert {each.name for each in parameters} - BEYOND.get(endpoint.name, set()) <= set(schema.get("properties", {}))
    # A handler asks for no more than the schema does: a valid request is never refused as incomplete.
    required = {each.name for each in parameters if each.default is each.empty}
    assert required <= set(schema.get("required", []))


def test_the_validator_sees_what_is_wrong() -> None:
    answer = b'{"meta": {"result_code": 200}, "data": {"task": {"status": "baked"}}}'
    assert list(violations("tasks.get_by_id", "2.23", b'{"task": "x"}', answer)) != []
    assert list(violations("tasks.get_by_id", "2.23", b'{"task": 3}', answer.replace(b"baked", b"created"))) != []
    assert list(violations("tasks.get_by_id", "2.23", b'{"task": "x"}', answer.replace(b"baked", b"created"))) == []


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        (1, int, True),
        (True, int, False),
        (2**70, int, False),
        (1, float, True),
        ("1", float, False),
        (["a"], list[str], True),
        (["a", 1], list[str], False),
        ({"a": 1}, dict[str, int], True),
        ({"a": "b"}, dict[str, int], False),
        (None, str | None, True),
        (1, str | None, False),
    ],
)
def test_types_of_json_values(value: object, hint: object, fits: bool) -> None:
    assert conforms(value, hint) is fits
