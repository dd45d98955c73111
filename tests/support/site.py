"""The embedded server's end points and its watch within the test's own process, on a clock that the test sets."""

from __future__ import annotations

import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import local_server.app
from local_server import leases, queues, watch, workers
from local_server.callers import NOBODY, Caller
from local_server.errors import AnswerError
from local_server.store import Store
from local_server.table import TABLE

from .agent import Agent, Ask


class Clock:
    """Stands for the module `time`: that of the machine, which may step, and the monotonic one, which stands still while it sleeps."""

    def __init__(self) -> None:
        self.now, self.ticks = time.time(), 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks


class Site:
    """A server with its limits as they are by default. Time goes by in `wait` alone."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.limits = Clock(), watch.Limits()
        for module in (leases, watch, workers):
            monkeypatch.setattr(module, "time", self.clock)
        self._path, self._sessions = folder / "server.db", itertools.count(1)
        self.start()

    def start(self) -> None:
        self._store = Store(self._path)
        self._store.write(queues.get_default).result()
        self._store.write(leases.resume).result()
        self._patience = watch.Patience()

    def stop(self) -> None:
        self._store.close()

    def ask(self, endpoint: str, caller: Caller = NOBODY, **fields: Any) -> tuple[int, dict[str, Any]]:
        """HTTP's code and the data of an answer."""
        try:
            return 200, self._store.write(lambda db: local_server.app.answer(db, TABLE.find(endpoint), fields, caller)).result()
        except AnswerError as error:
            return error.status, {}

    def login(self, *, agent: bool = True) -> Ask:
        """A client with a session of its own."""
        return partial(self.ask, caller=Caller(f"session {next(self._sessions)}", agent))

    def agent(self, worker: str, queue: str) -> Agent:
        return Agent(self.login(), worker, queue)

    def wait(self, seconds: float, *alive: tuple[Agent, str]) -> None:
        """Let time go by: the server looks as often as it does, and each agent of `alive` reports its task every 30 s."""
        passed = 0.0
        while passed < seconds:
            step = min(self.limits.period, seconds - passed)
            self.clock.now, self.clock.ticks, passed = self.clock.now + step, self.clock.ticks + step, passed + step
            if passed % 30 < step:
                for agent, task in alive:
                    agent.report(task)
            self.look()

    def look(self) -> None:
        self._store.write(partial(watch.look, limits=self.limits, listened=self._patience.listened())).result()

    def queued(self, queue: str, name: str = "some task") -> str:
        """A new task in a queue."""
        task = str(self.ask("tasks.create", name=name, type="training")[1]["id"])
        self.ask("tasks.enqueue", task=task, queue=queue)
        return task

    def task(self, identity: str) -> dict[str, Any]:
        task: dict[str, Any] = self.ask("tasks.get_by_id", task=identity)[1]["task"]
        return task

    def status(self, identity: str) -> str:
        return str(self.task(identity)["status"])

    def waiting(self, queue: str) -> list[str]:
        """The tasks that stand in a queue."""
        return [entry["task"] for entry in self.ask("queues.get_by_id", queue=queue)[1]["queue"]["entries"]]

    def remembered(self) -> int:
        """How many leases the server keeps, and losses of them."""
        count = "SELECT (SELECT count(*) FROM lease) + (SELECT count(*) FROM lost)"
        return int(self._store.read(lambda db: db.execute(count).fetchone()[0]).result())
