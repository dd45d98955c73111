"""The server's end points against the SDK's own schemas, read from the SDK."""

from __future__ import annotations

import re
from pathlib import Path

import clearml
import clearml_agent
import pytest
from support.validation import schemas, versions, violations

from local_server.endpoints import CALLER, Endpoint, Table, reads, writes
from local_server.fields import conforms
from local_server.organization import info
from local_server.table import TABLE

NEWEST = schemas(versions()[-1])
KNOWN = [endpoint for endpoint in TABLE if endpoint.name in NEWEST and not endpoint.takes.lines]
# What newer clients or the agent send beyond the SDK's schemas.
BEYOND = {
    "tasks.dequeue": {"new_status", "remove_from_all_queues"},
    "tasks.enqueue": {"force"},
    "queues.remove_task": {"update_task_status"},
    "events.multi_task_scalar_metrics_iter_histogram": {"metrics"},
}
# Services that are not in the table: the login, which needs no database, and what ClearML's open-source server lacks, too.
ELSEWHERE = {"auth", "datasets", "dataviews", "frames"}
# What they call otherwise than by a request's class: by texts that they put together, or by their general client.
BY_NAME = """
    events.multi_task_scalar_metrics_iter_histogram queues.get_next_task tasks.edit_configuration
    workers.register workers.status_report workers.unregister
"""


def called() -> set[str]:
    """The end points whose request classes the installed SDK and agent use, but in the modules that define these."""
    found = set()
    for package in (clearml, clearml_agent):
        folder = Path(package.__file__).parent
        for path in folder.rglob("*.py"):
            if path.relative_to(folder).parts[:2] != ("backend_api", "services"):
                found |= set(re.findall(r"\b([a-z]+)(?:_service|_api)?\.([A-Z]\w*)Request\b", path.read_text()))
    return {f"{service}.{re.sub(r'(?<!^)(?=[A-Z])', '_', action).lower()}" for service, action in found}


def test_every_end_point_that_the_clients_call_is_there() -> None:
    wanted = {name for name in called() & NEWEST.keys() if name.partition(".")[0] not in ELSEWHERE} | set(BY_NAME.split())
    assert {"tasks.get_by_id", "events.add_batch", "workers.get_all"} < wanted
    assert wanted <= {endpoint.name for endpoint in TABLE}


def test_a_name_stands_in_the_table_once() -> None:
    with pytest.raises(ValueError, match=r"entered twice: queues\.delete, tasks\.create$"):
        Table(*(enter(name, info) for enter in (reads, writes) for name in ("tasks.create", "queues.delete")), reads("tasks.edit", info))


@pytest.mark.parametrize("endpoint", KNOWN, ids=lambda endpoint: endpoint.name)
def test_a_handlers_signature_is_the_sdks_schema(endpoint: Endpoint) -> None:
    schema = NEWEST[endpoint.name].request
    parameters = {name: each for name, each in endpoint.parameters.items() if each.kind is not each.VAR_KEYWORD and name != CALLER}
    assert {*parameters} - BEYOND.get(endpoint.name, set()) <= set(schema.get("properties", {}))
    # A handler asks for no more than the schema does: a valid request is never refused as incomplete.
    required = {name for name, each in parameters.items() if each.default is each.empty}
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
