"""This run's ClearML task: where its arguments come from, where everything that it depends on is recorded, where its end is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import gaps, properties, reasons, requeue
from .api import request
from .checkpoint import CHECKPOINTS, Checkpoints, step_of
from .edits import ASKED, MADE, NOTE, USED, asked, note
from .errors import NoCheckpointError, StoreError
from .grammar import text_on_task
from .metrics import PROPERTY, Metrics
from .params import Arguments
from .remote_checkpoints import checkpoint_of
from .s3 import SCHEME
from .sdk import close_console, edit, task_class
from .storage import locate
from .workload import Command, Declaration

EXAMPLE_PROJECT = "clearml-example-project"


class Tracked:
    """The run's task, in the parent."""

    def __init__(self, declaration: Declaration, command: Command | None, tags: Sequence[str] = ()) -> None:
        """Take over the agent's task, or create one for a local run, whose `command` is already known."""
        tasks = task_class()
        tasks.force_requirements_env_freeze(True, declaration.root / "docker" / declaration.image / "requirements.txt")
        self.task = tasks.init(
            project_name=EXAMPLE_PROJECT,
            task_name=f"{declaration.name} {command.name}" if command else declaration.name,
            task_type=command.type if command else None,
            tags=list(tags),
            reuse_last_task_id=False,
            output_uri=False,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=False,
        )
        self.id = str(self.task.id)
        self.requeued = requeue.count({"id": self.id, "runtime": self.task.data.runtime})

    def asked(self, declaration: Declaration) -> dict[str, str]:
        """The arguments on the task, including edits.

        Raises:
            ParameterError: some edits would have no effect.
        """
        sections: dict[str, dict[str, str]] = {}
        for name, value in (self.task.get_parameters(backwards_compatibility=False) or {}).items():
            section, _, key = name.partition("/")
            sections.setdefault(section, {})[key] = "" if value is None else value
        return asked(declaration, sections, {name: item.value or "" for name, item in (self.task.data.configuration or {}).items()})

    def settle_output(self) -> None:
        """Determine where models, artifacts, debug samples and published datasets are stored, and check that this is possible.

        It is the task's output_uri, else its project's, else CLEARML_DEFAULT_OUTPUT_URI or `sdk.development.default_output_uri` of
        clearml.conf, else the file server.

        Raises:
            StoreError: an S3 store that cannot be written to.
        """
        from clearml.backend_api import Session
        from clearml.config import DEV_DEFAULT_OUTPUT_URI, config

        project = self.task.get_project_object()
        uri = self.task.output_uri or (project and project.default_output_destination)
        uri = uri or DEV_DEFAULT_OUTPUT_URI.get() or config.get("development.default_output_uri", None)
        if uri and uri.startswith(SCHEME):
            try:
                locate(uri).check_writable()
            except StoreError as error:
                raise StoreError(f"output_uri={error}") from error
        if not self.task.output_uri:
            self.task.storage_uri = uri or Session.get_files_server_host()  # setting output_uri would try to reach the store for minutes

    def record(self, arguments: Arguments, datasets: Mapping[str, str]) -> None:
        """Record everything the run depends on: arguments as given, settings as resolved, datasets by ID.

        The same request writes the note by which a later run can tell what a person has edited since.
        """
        made = {"seed": arguments.reserved["seed"], **arguments.flat_settings()}
        written = {ASKED: dict(arguments.texts), MADE: {key: text_on_task(value) for key, value in made.items()}, USED: dict(datasets)}
        ours = {section: {key: parameter(section, key, value) for key, value in values.items()} for section, values in written.items()}
        as_run = {
            "name": NOTE,
            "type": "json",
            "value": note(written),
            "description": "The values a run has used; to change them, edit Args or Settings",
        }
        # hyperparams are replaced as a whole, so other sections have to be sent along
        edit(self.task, lambda data: {"hyperparams": {**(data.hyperparams or {}), **ours}, "configuration": {NOTE: as_run}})

    def note(self, metrics: Metrics) -> None:
        """Record the metrics that the workload declares. The gaps in a clone's properties belong to another run, and are removed."""
        if metrics != Metrics():
            properties.write(self.task, PROPERTY, metrics.stated())
        if not self.task.data.last_metrics and properties.read(self.task, gaps.PROPERTY) is not None:
            properties.write(self.task, gaps.PROPERTY, None)

    def own_checkpoint(self, output: Path) -> Path | None:
        """The newest checkpoint of this task, after it was requeued: in its folder on this machine, or uploaded by another machine.

        Raises:
            CheckpointError: there are newer ones than on this machine, but none of them can be fetched.
        """
        here = Checkpoints(output / CHECKPOINTS, run=self.id).latest()
        try:
            return checkpoint_of(self.id, output / "resumed", beyond=-1 if here is None else step_of(here))
        except NoCheckpointError:
            return here

    def fail(self, reason: str) -> None:
        reasons.tell(self.task, self.id, reason)
        self.task.mark_failed(ignore_errors=True, status_reason=reason, status_message=reason, force=True)

    def stop(self, reason: str) -> None:
        reasons.tell(self.task, self.id, reason)
        self.task.mark_stopped(force=True, status_message=reason)

    def close(self) -> None:
        """Wait until everything has arrived."""
        close_console(self.task)


def parameter(section: str, name: str, value: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value, "type": "str", "description": ""}


def attach() -> Any:
    """The run's task, in rank 0; the SDK finds it through the environment inherited from the parent."""
    task = task_class().init(
        auto_connect_arg_parser=False, auto_connect_frameworks=False, auto_connect_streams=False, auto_resource_monitoring=False
    )
    if (task.output_uri or "").startswith(SCHEME):
        task.get_logger().set_default_upload_destination(task.output_uri)  # otherwise debug samples go to the file server
    return task


def reported(task: Any) -> dict[tuple[str, str], int]:
    """The last reported step of each curve of a task, by title and series."""
    found = request(task, "events.scalar_metrics_iter_histogram", task=task.id, key="iter", samples=0)
    return {(title, series): max(curve["x"]) for title, curves in found.items() for series, curve in curves.items() if curve["x"]}
