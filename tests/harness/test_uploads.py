"""Saved checkpoints on their way to a task's models: what a failing or a slow store gets."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from support.events import wait_for

from harness.checkpoint import Checkpoints
from harness.errors import StoreError
from harness.remote_checkpoints import UploadedCheckpoints
from harness.report import ClearMLReport

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
TASK = SimpleNamespace(
    output_uri="http://127.0.0.1:9",
    _get_output_destination_suffix=lambda name: name,
    models={"output": []},
    flush=lambda wait_for_uploads: Model.stored.append(("what was reported", "")) if Model.noted else None,
)


class Model:
    """An output model of the SDK's that keeps what it is given; `stored` lists every upload, newest last."""

    stored: ClassVar[list[tuple[str, str]]] = []
    failing = noted = False
    open = threading.Event()

    def __init__(self, task: Any, name: str) -> None:
        self.name, self.manifest = name, {}

    def update_weights(self, weights_filename: str, **_: Any) -> None:
        assert Model.open.wait(30)
        if Model.failing:
            raise ValueError("Upload failed")
        Model.stored.append((self.name, Path(weights_filename).read_text()))

    def update_design(self, config_dict: dict[str, Any]) -> None:
        self.manifest = config_dict


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> UploadedCheckpoints:
    import clearml

    monkeypatch.setattr(clearml, "OutputModel", Model)
    for name, value in {"stored": [], "failing": False, "open": threading.Event()}.items():
        monkeypatch.setattr(Model, name, value)
    return UploadedCheckpoints(TASK)


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.save(step, lambda path, step=step: path.write_text(str(step)))


def test_the_slots_are_filled_in_turn(uploads: UploadedCheckpoints, tmp_path: Path) -> None:
    Model.open.set()
    save(Checkpoints(tmp_path, uploaded=uploads), 1, 2)
    uploads.close()
    assert Model.stored == [("checkpoint-0", "1"), ("checkpoint-1", "2")]
    assert [model.manifest["step"] for model in uploads.models] == [1, 2]


def test_what_was_reported_arrives_before_the_checkpoint(
    uploads: UploadedCheckpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "noted", True)
    Model.open.set()
    save(Checkpoints(tmp_path, uploaded=uploads), 1)
    uploads.close()
    assert Model.stored == [("what was reported", ""), ("checkpoint-0", "1")]


def test_a_task_that_ran_before_keeps_its_newest_to_the_last(uploads: UploadedCheckpoints, tmp_path: Path) -> None:
    Model.open.set()
    held = [SimpleNamespace(name="checkpoint-0", config_dict={"step": 3}), SimpleNamespace(name="checkpoint-1", config_dict={"step": 2})]
    again = UploadedCheckpoints(SimpleNamespace(**{**vars(TASK), "models": {"output": held}}))
    save(Checkpoints(tmp_path, uploaded=again), 4, 5)
    again.close()
    assert Model.stored == [("checkpoint-1", "4"), ("checkpoint-0", "5")]


def test_a_failed_upload_is_reported_and_keeps_the_newest_complete_checkpoint(
    uploads: UploadedCheckpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Model.open.set()
    checkpoints = Checkpoints(tmp_path, uploaded=uploads)
    for step in range(1, 6):
        Model.failing = step in {2, 3}
        save(checkpoints, step)
        uploads.close()
    assert Model.stored == [("checkpoint-0", "1"), ("checkpoint-1", "4"), ("checkpoint-0", "5")]
    assert [model.manifest["step"] for model in uploads.models] == [5, 4]
    told = [f"checkpoint of step {step} could not be uploaded: Upload failed" for step in (2, 3)]
    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.WARNING, message) for message in told]


def test_a_slow_store_gets_the_newest(uploads: UploadedCheckpoints, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, uploaded=uploads)
    save(checkpoints, 1)
    wait_for(uploads.pending[0][0].running)
    save(checkpoints, 2, 3, 4, 5)
    assert len(list(tmp_path.glob("*.upload"))) == 3  # the one under way, and the two behind it
    Model.open.set()
    uploads.close()
    assert [text for _, text in Model.stored] == ["1", "4", "5"]
    assert not list(tmp_path.glob("*.upload"))


def test_an_artifact_that_cannot_be_stored_is_named() -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("Upload failed")

    report = ClearMLReport(SimpleNamespace(upload_artifact=fail, output_uri="s3://bucket/x", get_logger=lambda: None))
    with pytest.raises(StoreError, match="artifact result could not be stored at s3://bucket/x: Upload failed"):
        report.artifact("result", {"total": 1})
