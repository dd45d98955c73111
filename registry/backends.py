"""The ClearML server, real or embedded, through the session of ClearML's SDK.

The SDK takes two seconds to import, so it is imported only when a server is needed. Requests call the server's endpoints through the
SDK's session: one request where its Task class makes ten, which matters when many runs are submitted.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import MissingError, RefusedError, ServerError
from .home import embedded_server
from .run import DOCKER_ARGUMENTS, Run

RETRIES = {"total": 3, "connect": 1, "read": 3, "redirect": 3, "status": 1, "backoff_factor": 0.3}
LOG_PAGE = 1000
MOST_TASKS = 500  # that a ClearML server answers at once
TASK_ID = re.compile("[0-9a-f]{32}")
GPUS = "gpus="  # prefix of the tag with the number of GPUs per machine of a queue
TASK_FIELDS = [
    *("id", "name", "type", "status", "status_reason", "status_message", "project", "tags", "created", "started", "completed"),
    *("last_update", "last_iteration", "active_duration", "last_metrics", "hyperparams", "execution.queue", "script", "runtime"),
]

Json = dict[str, Any]


@dataclass(frozen=True)
class Queue:
    """A queue. The number of GPUs per machine is in a tag or in the metadata: `gpus=2`."""

    id: str
    name: str
    gpus: int | None = None
    tags: tuple[str, ...] = ()
    waiting: int = 0
    """The number of tasks that no agent has taken yet."""


def choose_server() -> bool:
    """Point the SDK at the embedded server if the user has configured no server. False if there is none at all."""
    if any(os.environ.get(name) for name in ("CLEARML_API_HOST", "CLEARML_CONFIG_FILE")) or Path("~/clearml.conf").expanduser().exists():
        return True
    server = embedded_server()
    if server is None:
        return False
    os.environ["CLEARML_CONFIG_FILE"] = str(server.configuration)
    return True


def import_sdk() -> None:
    """Import ClearML's SDK now, which takes seconds, while something else starts."""
    import clearml  # noqa: F401


def connect() -> Server:
    """The configured server, or else the embedded one.

    Raises:
        ServerError: there is no server, it does not answer, or it rejects the keys.
    """
    if not choose_server():
        raise ServerError(
            "no ClearML server is configured: start one on this machine with `registry up`, "
            "or set CLEARML_API_HOST, CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY"
        )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are reported once, below
    from clearml.backend_api.session import Session
    from clearml.backend_api.session.session import LoginError

    host = Session.get_api_server_host()
    try:
        session = Session(http_retries_config=dict(RETRIES))
    except LoginError as error:
        refused = re.search(r"error (\d+) from", str(error))
        if refused:
            raise ServerError(f"{host} rejects the keys ({refused[1]}): check api.credentials in {configuration_in_use()}") from None
        raise ServerError(
            f"the ClearML server at {host} does not answer; is it running? On this machine, start it with: registry up"
        ) from None
    except Exception as error:
        raise ServerError(f"the ClearML server at {host} cannot be used: {error}") from error
    server = embedded_server()
    return Server(session, host, Session.get_app_server_host(), embedded=server is not None and same_place(server.url, host))


def configuration_in_use() -> str:
    return os.environ.get("CLEARML_CONFIG_FILE") or ("CLEARML_API_*" if os.environ.get("CLEARML_API_HOST") else "~/clearml.conf")


def same_place(url: str, other: str) -> bool:
    return url.replace("//localhost", "//127.0.0.1").rstrip("/") == other.replace("//localhost", "//127.0.0.1").rstrip("/")


@dataclass
class Server:
    """A ClearML server. Every method is one or two requests."""

    session: Any
    host: str
    web: str
    embedded: bool
    projects: dict[str, str] = field(default_factory=dict)

    def call(self, endpoint: str, **body: Any) -> Json:
        """Call an endpoint, such as `tasks.get_all`, and return its data.

        Raises:
            MissingError: the server has nothing with that ID.
            RefusedError: it refuses the request.
            ServerError: it cannot be reached.
        """
        service, action = endpoint.split(".")
        try:
            response = self.session.send_request(service, action, json=body)
            answer = response.json()
        except Exception as error:
            if "503 error responses" in str(error):  # the session's message after its last retry
                raise ServerError(f"{self.host} cannot perform {endpoint} at the moment (503): its disk may be full; see its log") from None
            raise ServerError(f"{self.host} does not answer {endpoint}: {type(error).__name__}") from error
        meta = answer.get("meta", {})
        if response.status_code == 200:
            data: Json = answer.get("data") or {}
            return data
        message = f"{self.host} refuses {endpoint} ({response.status_code}): {meta.get('result_msg', response.reason)}"
        raise MissingError(message) if response.status_code in {400, 404} and endpoint.endswith(".get_by_id") else RefusedError(message)

    def link(self, task: Mapping[str, Any]) -> str:
        """The address of a task's page."""
        return f"{self.web.rstrip('/')}/projects/{task.get('project') or '*'}/experiments/{task['id']}/output/log"

    def project(self, name: str) -> str:
        """The ID of a project, which is created if it does not exist."""
        if name not in self.projects:
            found = self.call("projects.get_all", name=exactly(name), only_fields=["id", "name"], search_hidden=True).get("projects")
            self.projects[name] = found[0]["id"] if found else self.call("projects.create", name=name, description="")["id"]
        return self.projects[name]

    def project_names(self, ids: Sequence[str]) -> dict[str, str]:
        """The names of projects by ID."""
        found = self.call("projects.get_all", id=list(ids), only_fields=["id", "name"], search_hidden=True).get("projects") if ids else []
        return {project["id"]: project["name"] for project in found or []}

    def queues(self) -> dict[str, Queue]:
        """Every queue by name."""
        found = self.call("queues.get_all", only_fields=["id", "name", "tags", "metadata", "entries"]).get("queues") or []
        return {queue["name"]: queue_of(queue) for queue in found}

    def create_queue(self, name: str, gpus: int | None = None) -> None:
        self.call("queues.create", name=name, tags=[] if gpus is None else [f"{GPUS}{gpus}"])

    def set_gpus(self, queue: Queue, gpus: int) -> None:
        """Set the number of GPUs per machine of a queue. Its other tags are kept."""
        self.call("queues.update", queue=queue.id, tags=[*(tag for tag in queue.tags if not tag.startswith(GPUS)), f"{GPUS}{gpus}"])

    def workers(self) -> dict[str, list[str]]:
        """The agents that reported recently: their IDs, and the IDs of the queues that each serves."""
        found = self.call("workers.get_all").get("workers") or []
        return {worker["id"]: [queue["id"] for queue in worker.get("queues") or []] for worker in found}

    def agents(self) -> dict[str, list[str]]:
        """The agents of each queue, by the queue's ID. Each agent runs one task at a time."""
        serving: dict[str, list[str]] = {}
        for worker, queues in sorted(self.workers().items()):
            for queue in queues:
                serving.setdefault(queue, []).append(worker)
        return serving

    def draft(self, run: Run) -> str:
        """Create the task of a run, the same as `clearml-task` creates from `run.argv()`, and return its ID."""
        task = self.call("tasks.create", **created(run, self.project(run.project)))["id"]
        self.call("tasks.edit", task=task, force=True, runtime={"_CLEARML_TASK": True})
        return str(task)

    def enqueue(self, tasks: Sequence[str], queue: Queue) -> None:
        """Put drafts on a queue, in this order.

        Raises:
            ServerError: the server refused some of them; the message names them.
        """
        answer = self.call("tasks.enqueue_many", ids=list(tasks), queue=queue.id)
        if failed := answer.get("failed"):
            raise ServerError(f"{self.host} did not enqueue: " + "; ".join(f"{item['id']}: {item['error'].get('msg')}" for item in failed))

    def delete(self, tasks: Iterable[str]) -> None:
        for task in tasks:
            self.call("tasks.delete", task=task, force=True)

    def task(self, identifier: str) -> Json:
        """A task by its full ID."""
        found = self.tasks(id=[identifier])
        if not found:
            raise MissingError(f"there is no task {identifier}")
        return found[0]

    def tasks(self, **query: Any) -> list[Json]:
        """The tasks that match, newest first unless `order_by` is given."""
        query = {"order_by": ["-created"], "only_fields": TASK_FIELDS, **query}
        return list(self.call("tasks.get_all", **query).get("tasks") or [])

    def log_lines(self, task: str, since: float = 0) -> Iterator[tuple[float, str]]:
        """Time stamp (ms) and text of a task's console output, starting at `since`."""
        while True:
            body = {"order": "asc", "from_timestamp": since, "navigate_earlier": False, "batch_size": LOG_PAGE}
            events = self.call("events.get_task_log", task=task, **body).get("events") or []
            for event in events:
                yield float(event["timestamp"]), str(event.get("msg", ""))
            newest = max((float(event["timestamp"]) for event in events), default=since)
            if len(events) < LOG_PAGE or newest == since:
                return
            since = newest  # the events of this moment come twice

    def log_end(self, task: str, count: int) -> list[tuple[float, str]]:
        """Time stamp (ms) and text of the last `count` entries of a task's console output, in order; an entry has one or more lines."""
        events = self.call("events.get_task_log", task=task, order="desc", batch_size=count).get("events") or []
        return sorted(((float(event["timestamp"]), str(event.get("msg", ""))) for event in reversed(events)), key=lambda event: event[0])

    def setting(self, name: str) -> list[str]:
        """The values of a key in the user's own clearml.conf; none if it is not set."""
        found = self.session.config.get(name, None) or []
        return [str(value) for value in ([found] if isinstance(found, str) else found)]


def created(run: Run, project: str) -> Json:
    """The body of a tasks.create request that creates the same task as `clearml-task`."""
    now = datetime.now(UTC)
    parameters = {
        key: {"section": "Args", "name": key, "value": value, "description": "", "type": "str"} for key, value in run.parameters.items()
    }
    return {
        "name": run.name,
        "type": run.type,
        "project": project,
        "comment": f"Auto-generated at {now:%Y-%m-%d %H:%M:%S} UTC by {user_name()}@{socket.gethostname()}",
        "system_tags": ["development"],
        "tags": list(dict.fromkeys(run.tags)),
        "script": {
            "repository": run.repository,
            "version_num": run.commit,
            "binary": "python",
            "diff": "",
            "working_dir": ".",
            "entry_point": run.script,
            "requirements": {"pip": ""},
        },
        "container": {"image": run.image, "arguments": DOCKER_ARGUMENTS, "setup_shell_script": ""},
        **({"hyperparams": {"Args": parameters}} if parameters else {}),
        **({"output_dest": run.output_uri.rstrip("/")} if run.output_uri else {}),
    }


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # in a container, the user may have no name


def queue_of(queue: Mapping[str, Any]) -> Queue:
    return Queue(queue["id"], queue["name"], gpus_of(queue), tuple(queue.get("tags") or ()), len(queue.get("entries") or ()))


def gpus_of(queue: Mapping[str, Any]) -> int | None:
    """The number of GPUs per machine in a queue's tags or metadata."""
    stated: Iterable[str] = list(queue.get("tags") or [])
    for item in (queue.get("metadata") or {}).values():
        stated = [*stated, f"{item.get('key')}={item.get('value')}"]
    found = [re.fullmatch(rf"{GPUS}(\d+)", entry) for entry in stated]
    return next((int(match[1]) for match in found if match), None)


def exactly(name: str) -> str:
    """A regular expression that matches exactly this name."""
    return f"^{re.escape(name)}$"


def hyperparameters(task: Mapping[str, Any], section: str) -> dict[str, str]:
    """The keys and values in a section of a task's hyperparameters."""
    found: Mapping[str, Any] = (task.get("hyperparams") or {}).get(section) or {}
    return {key: str(item.get("value", "")) for key, item in found.items()}


def scalars(task: Mapping[str, Any]) -> dict[str, Json]:
    """The `value` (the last one), `min_value` and `max_value` of each scalar, by `title/series`."""
    variants: Sequence[Json] = [item for metric in (task.get("last_metrics") or {}).values() for item in metric.values()]
    return {f"{item['metric']}/{item['variant']}": item for item in variants}
