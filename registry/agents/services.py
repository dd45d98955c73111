"""The embedded server and its agents: `registry up` and `registry down`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..backends import Server, connect, import_sdk
from ..environment import locked
from ..errors import ServiceError
from ..home import EmbeddedServer, embedded_server, home, private, private_folder, started_at
from ..images.engine import Engine
from . import container, processes, supervisor
from .agent import ClientConfiguration, agents_folder, clean_environment, client_settings, prepare, worker_id
from .processes import Process

PORT = 8008  # of a ClearML server's API
PATIENCE = 60.0  # seconds that a process has to start
POLL = 1.0  # seconds between an agent's checks of its queues; short, because the server is on this machine
ROOM = 4 << 20  # free bytes that are required to start anything


@dataclass(frozen=True)
class Up:
    """The server and the agents that are running."""

    server: EmbeddedServer
    agents: tuple[Process, ...]
    started: tuple[str, ...]
    """The names of those that were not running before."""


def up(root: Path, port: int | None, agents: int, queues: Sequence[str], say: Callable[[str], None], *, containers: bool = False) -> Up:
    """Start what is not running yet: the server, and agents up to the given number; create missing queues. Return when all respond.

    The agents run tasks in the environments of the clone at `root`, or in containers of the tasks' images.

    Raises:
        EngineError: there is no container engine for agents that need one.
        ServiceError: something did not start (the message has the last lines of its log), or a file cannot be written.
    """
    if containers:
        Engine()
    check_home()
    with writing(), locked(home() / "up.lock"):
        private_folder(agents_folder())
        clear_dead(recorded_agents(), say)
        server, process = embedded_server(), None
        if server is None:
            say("server: starting")
            process = start_server(port_for(port, say))
            import_sdk()
        elif port not in (None, port_of(server.url)):
            say(f"server: already running at {server.url}; to use another port, run registry down first")
        server = wait_for_server(process)
        port_file().write_text(str(port_of(server.url)))
        client = connect_to(server)
        for queue in set(queues) - set(client.queues()):
            client.create_queue(queue)
        ours = [agent for agent in recorded_agents() if agent.is_alive and agent.containers == containers and not agent.foreground]
        running = [agent for agent in ours if set(queues) <= set(agent.queues)]
        client_configuration = ClientConfiguration(server.configuration.read_text(), clean_environment(), embedded=True)
        started = [start_agent(name, root, queues, client_configuration, containers) for name in free_names(agents - len(running))]
        if started:
            say(f"agents: starting {len(started)}")
            wait_for_agents(client, started)
        names = [*(["server"] if process else []), *(agent.name for agent in started)]
        return Up(server, (*running, *started), tuple(names))


def down(say: Callable[[str], None]) -> list[Process]:
    """End the agents and then the server that `up` started, and what earlier agents left. Return those that were running."""
    if not home().exists():
        return []
    with writing(), locked(home() / "up.lock"):
        agents = recorded_agents()
        for agent in agents:
            if agent.foreground and agent.is_alive:
                say(f"{agent.name} is left running: end it where `registry agent` was started, or with kill {agent.pid}")
        ended = end_recorded(agents_folder(), supervisor.LEAVE, say)
        clear_dead(agents, say)
        return [*ended, *end_recorded(home(), processes.GRACE, say)]


def end_recorded(folder: Path, grace: float, say: Callable[[str], None]) -> list[Process]:
    """End the processes with a record in `folder`, except those in the foreground. Return those that were running."""
    found = [process for process in processes.recorded(folder) if not (process.foreground and process.is_alive)]
    alive = [process for process in found if process.is_alive]
    if alive:
        say(f"ending {', '.join(process.name for process in alive)}")
        processes.end(alive, grace)
    for process in found:
        processes.forget(process, folder)
    return alive


def check_home() -> None:
    """Create the state folder.

    Raises:
        ServiceError: it is not writable, or agents would refuse it.
    """
    if re.search(r"\s", str(home())):
        raise ServiceError(
            f"clearml-agent accepts no white space in the path of its folders; set REGISTRY_HOME to something other than {str(home())!r}"
        )
    with writing():
        home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home()) as probe:
            probe.write(bytes(ROOM))
            probe.flush()
            os.fsync(probe.fileno())


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Write files that only this user can access. If one cannot be written, the error is a single line."""
    try:
        with private():
            yield
    except OSError as error:
        raise ServiceError(
            f"cannot write {error.filename or f'below {home()}'}: {error.strerror or error}; to use another folder, set REGISTRY_HOME"
        ) from error


@contextlib.contextmanager
def foreground_agent(queues: Sequence[str], containers: bool) -> Iterator[str]:
    """Reserve a name for an agent that this process runs."""
    with writing(), locked(home() / "up.lock"):
        private_folder(agents_folder())
        clear_dead(recorded_agents(), lambda _: None)
        (name,) = free_names(1)
        pid = os.getpid()
        ours = Process(name, pid, started_at(pid) or "", "", tuple(queues), containers, foreground=True)
        processes.record(ours, agents_folder())
    try:
        yield name
    finally:
        processes.forget(ours, agents_folder())


def recorded_agents() -> list[Process]:
    return processes.recorded(agents_folder())


def clear_dead(agents: Sequence[Process], say: Callable[[str], None]) -> None:
    """End what dead agents left running, including containers, and remove the keys that they left."""
    alive = {agent.name for agent in recorded_agents() if agent.is_alive}
    names = {folder.name for folder in agents_folder().glob("*/")} - alive
    marks = {str(agents_folder() / name) for name in names}
    if supervisor.left(marks):
        say(f"ending what {', '.join(sorted(names))} left running")
        supervisor.end_left(marks)
    with_containers = {agent.name for agent in agents if agent.containers and agent.name not in alive}
    if container.of([worker_id(name) for name in with_containers]):
        say(f"ending the containers of {', '.join(sorted(with_containers))}")
    supervisor.clear(with_containers, containers=True)
    supervisor.clear(names - with_containers, containers=False)


def start_agent(name: str, root: Path, queues: Sequence[str], client: ClientConfiguration, containers: bool) -> Process:
    """Start an agent with its supervisor, as a process that outlives this one."""
    agent = prepare(name, root, queues, client, containers=containers, poll=POLL)
    argv = [sys.executable, "-P", "-m", "registry.agents.supervisor", *(["--docker"] if containers else []), name, *agent.argv]
    return processes.start(name, argv, agent.environment, agents_folder(), queues, containers=containers)


def port_file() -> Path:
    return home() / "port"


def port_of(url: str) -> int:
    return urlsplit(url).port or 80


def port_for(asked: int | None, say: Callable[[str], None]) -> int:
    """The port for a new server: by default the last one, because published files are addressed by it."""
    last = int(port_file().read_text()) if port_file().exists() else None
    if last is None:
        return PORT if asked is None else asked
    if asked in (None, 0, last):
        return last
    say(f"server: using port {asked} instead of {last}; files published on port {last} are not found until it is used again")
    return int(asked or 0)


def start_server(port: int) -> Process:
    argv = [sys.executable, "-P", "-m", "local_server", "--data", str(home() / "server"), "--port", str(port)]
    return processes.start("server", argv, clean_environment(), home())


def wait_for_server(process: Process | None) -> EmbeddedServer:
    """Wait until the server has written its address and responds there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        server = embedded_server()
        if server and (process is None or server.pid == process.pid) and answers(server.url):
            return server
        if process is None and server is None:
            raise ServiceError("the server ended meanwhile; run registry up again")
        if process and not process.is_alive:
            processes.forget(process, home())
            raise ServiceError(f"the server did not start; the end of its log:\n{process.last_lines()}")
        time.sleep(0.05)
    raise ServiceError(f"the server has not responded within {PATIENCE:.0f} s; see its log: {home() / 'server.log'}")


def answers(url: str) -> bool:
    """Whether a server speaks HTTP there, even if it refuses the request."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def connect_to(server: EmbeddedServer) -> Server:
    """A client of the embedded server, even if the user has configured another one."""
    for name in client_settings():
        del os.environ[name]
    os.environ["CLEARML_CONFIG_FILE"] = str(server.configuration)
    return connect()


def free_names(count: int) -> list[str]:
    """Names for new agents. The names of ended agents are reused."""
    taken = {agent.name for agent in recorded_agents() if agent.is_alive}
    names = (f"agent-{number}" for number in range(1, count + len(taken) + 1))
    return [name for name in names if name not in taken][: max(count, 0)]


def wait_for_agents(client: Server, agents: Sequence[Process]) -> None:
    """Wait until the server lists every agent as a worker."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if {worker_id(agent.name) for agent in agents} <= set(client.workers()):
            return
        for agent in agents:
            if not agent.is_alive:
                raise ServiceError(f"{agent.name} did not start; the end of its log:\n{agent.last_lines()}")
        time.sleep(0.2)
    logs = ", ".join(agent.log for agent in agents)
    raise ServiceError(f"the agents have not reported to the server within {PATIENCE:.0f} s; see their logs: {logs}")
