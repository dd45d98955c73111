"""Which agent has which task: what it does not start stands in the queue again, and late words miss.

ClearML's own server knows no leases (docs/embedded-server.md); what agents send and when is read in clearml-agent 3.0.3.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, logged_in
from support.events import OwnServer, wait_for
from support.site import Site

from local_server.watch import Limits

START, REPORT, SILENCE = Limits.start, Limits.report, Limits.silence


@pytest.fixture
def queue(site: Site) -> str:
    return str(site.ask("queues.create", name="some queue")[1]["id"])


class TestUnstarted:
    """A task that was handed out and not started."""

    def test_it_stands_at_the_front_of_its_queue_again(self, site: Site, queue: str) -> None:
        first, second, third = (site.queued(queue) for _ in range(3))
        assert [site.agent("machine:0", queue).take(), site.agent("machine:1", queue).take()] == [first, second]
        site.wait(START - 20)
        assert site.waiting(queue) == [third]
        site.wait(30)
        assert site.waiting(queue) == [first, second, third]
        assert site.status(first) == "queued"

    def test_the_next_agent_gets_it_and_the_first_can_do_nothing_to_it_any_more(self, site: Site, queue: str) -> None:
        task = site.queued(queue)
        frozen, next_one = site.agent("machine:0", queue), site.agent("machine:1", queue)
        assert frozen.take() == task
        site.wait(START + 10)
        assert not frozen.start(task)  # it waits in its queue
        assert site.waiting(queue) == [task]
        assert next_one.take() == task
        assert not frozen.start(task)  # it was handed out to another
        assert next_one.start(task)
        before = site.task(task)
        for action in ("started", "failed", "completed", "stopped", "dequeue", "ping", "edit", "reset", "delete"):
            assert frozen.ask(f"tasks.{action}", task=task, **({} if action in ("ping", "dequeue", "edit") else {"force": True}))[0] == 400
        frozen.report(task)
        assert site.task(task) == before
        assert (before["status"], before["last_worker"], before["runtime"]) == (
            *("in_progress", "machine:1"),
            {"_exec_agent_hostname": "machine:1"},
        )

    def test_the_first_agent_may_take_it_once_more(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        site.wait(START + 10)
        assert agent.work() == task
        assert site.status(task) == "completed"

    def test_a_login_anew_meanwhile_leads_to_it_neither(self, site: Site, queue: str) -> None:
        """An agent logs in every 12 hours; with a new session it must not start what waits, or what another has taken."""
        task, another = site.queued(queue), site.agent("machine:1", queue)
        renewed = site.agent("machine:0", queue)
        assert not renewed.start(task)
        assert another.take() == task
        assert not renewed.start(task)
        assert another.start(task)

    def test_an_agent_that_reports_it_keeps_it(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        site.wait(10 * START, (agent, task))
        assert site.waiting(queue) == []
        assert agent.start(task)

    def test_one_that_was_dequeued_by_a_person_stays_a_draft(self, site: Site, queue: str) -> None:
        """As `registry stop` does when nobody starts what was taken."""
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert site.ask("tasks.dequeue", task=task)[0] == 200
        site.wait(START + 10)
        assert (site.status(task), site.waiting(queue), agent.start(task)) == ("created", [], False)

    @pytest.mark.parametrize(("action", "status"), [("stop", "stopped"), ("reset", "created"), ("stopped", "stopped")])
    def test_one_that_a_person_took_back_is_not_started(self, site: Site, queue: str, action: str, status: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert site.ask(f"tasks.{action}", task=task)[0] == 200
        assert not agent.start(task)
        site.wait(START + 10)
        assert (site.status(task), site.waiting(queue)) == (status, [])

    def test_one_that_a_person_runs_meanwhile_goes_on(self, site: Site, queue: str) -> None:
        """The SDK starts it; it is no agent, and need not report."""
        task, person = site.queued(queue), site.login(agent=False)
        assert site.agent("machine:0", queue).take() == task
        assert person("tasks.started", task=task)[0] == 200
        site.wait(SILENCE - 10)
        assert (site.status(task), site.waiting(queue)) == ("in_progress", [])

    def test_one_that_a_person_put_into_the_queue_again_is_his_who_takes_it_then(self, site: Site, queue: str) -> None:
        task, first, second = site.queued(queue), site.agent("machine:0", queue), site.agent("machine:1", queue)
        assert first.take() == task
        assert site.ask("queues.add_task", queue=queue, task=task)[0] == 200
        assert second.take() == task
        assert second.start(task)
        assert not first.start(task)

    def test_one_that_runs_and_is_handed_out_once_more_is_his_who_takes_it_then(self, site: Site, queue: str) -> None:
        task, first, second = site.queued(queue), site.agent("machine:0", queue), site.agent("machine:1", queue)
        assert first.take() == task
        assert first.start(task)
        assert site.ask("queues.add_task", queue=queue, task=task)[0] == 200
        assert second.take() == task
        assert not first.start(task)
        assert first.ask("tasks.completed", task=task, force=True)[0] == 400
        assert second.start(task)
        assert first.ask("tasks.failed", task=task, force=True)[0] == 400
        assert site.status(task) == "in_progress"

    def test_one_that_was_stopped_in_its_queue_does_not_come_back(self, site: Site, queue: str) -> None:
        """By force its status alone changes, and an agent gets it all the same (test_real_server.py)."""
        task = site.queued(queue)
        assert site.ask("tasks.stopped", task=task, force=True)[0] == 200
        assert site.agent("machine:0", queue).take() == task
        site.wait(START + 10)
        assert (site.status(task), site.waiting(queue)) == ("stopped", [])

    def test_its_queue_being_deleted_it_is_a_draft(self, site: Site, queue: str) -> None:
        task = site.queued(queue)
        assert site.agent("machine:0", queue).take() == task
        assert site.ask("queues.delete", queue=queue)[0] == 200
        site.wait(START + 10)
        assert site.status(task) == "created"

    def test_a_deleted_one_leaves_nothing(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        site.wait(START + 10)
        assert agent.take() == task
        assert site.remembered() == 1
        site.wait(START + 10)
        assert site.remembered() == 1
        assert site.ask("tasks.delete", task=task, force=True)[0] == 200
        assert site.remembered() == 0

    @pytest.mark.parametrize("step", [-3600.0, 3600.0])
    def test_a_clock_that_steps_neither_ends_a_lease_nor_prolongs_it_by_its_step(self, site: Site, queue: str, step: float) -> None:
        task = site.queued(queue)
        assert site.agent("machine:0", queue).take() == task
        site.clock.now += step
        site.look()
        assert site.waiting(queue) == []
        site.wait(2 * START + 10)
        assert site.waiting(queue) == [task]

    def test_a_restart_of_the_server_keeps_the_lease_and_counts_anew(self, site: Site, queue: str) -> None:
        """With a monotonic clock that begins anew, as after a restart of the machine; it was away for an hour."""
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        site.stop()
        site.clock.now, site.clock.ticks = site.clock.now + 3600, 5.0
        site.start()
        site.wait(START - 10)
        assert site.waiting(queue) == []
        site.wait(20)
        assert site.waiting(queue) == [task]
        assert not agent.start(task)

    def test_kill_9_of_the_server_loses_no_lease(self, own_server: OwnServer) -> None:
        server = own_server("own", "--start", "1")
        queue = server.call("queues.get_default")["id"]
        task = server.call("tasks.create", name="some task", type="training")["id"]
        server.call("tasks.enqueue", task=task, queue=queue)
        agent = Agent(logged_in(server), "machine:0", queue)
        assert agent.take() == task
        server.kill()
        server.start()
        wait_for(lambda: server.call("queues.get_num_entries", queue=queue)["num"] == 1)
        assert not agent.start(task)


def lives(count: int, chance: random.Random) -> Iterator[tuple[int, signal.Signals | None]]:
    """When each of many agents is born (no signal), frozen, woken a lease later and killed: its number, at that moment."""
    deeds: list[tuple[float, int, signal.Signals | None]] = []
    for number in range(count):
        frozen = 0.1 * number + chance.uniform(0.2, 1.0)
        deeds += [(0.1 * number, number, None), (frozen, number, signal.SIGSTOP)]
        deeds += [(frozen + 0.9, number, signal.SIGCONT), (frozen + 1.0, number, signal.SIGKILL)]
    began = time.monotonic()
    for moment, number, deed in sorted(deeds, key=lambda deed: deed[0]):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        yield number, deed


def test_of_24_frozen_and_killed_agents_none_loses_a_task_and_none_shares_one(own_server: OwnServer, tmp_path: Path) -> None:
    """Processes that send what agents send, each frozen for longer than a lease, woken and killed, at random moments."""
    server = own_server("own", "--start", "0.5", "--report", "1")
    queue = server.call("queues.get_default")["id"]
    tasks = [server.call("tasks.create", name=f"task {number}", type="training")["id"] for number in range(60)]
    for task in tasks:
        server.call("tasks.enqueue", task=task, queue=queue)
    runs = tmp_path / "runs"

    def run(task: str) -> None:
        """Written down once both words of the start were accepted."""
        with runs.open("a") as file:
            file.write(f"{task}\n")

    def live(worker: str) -> None:
        agent, chance = Agent(logged_in(server), worker, queue), random.Random(worker)
        while True:
            agent.hesitation = chance.uniform(0, 0.1)
            agent.work(run)

    living: dict[int, int] = {}
    try:
        for number, deed in lives(24, random.Random(24)):
            if deed is not None:
                os.kill(living[number], deed)
            elif child := os.fork():
                living[number] = child
            else:
                with suppress(BaseException):
                    live(f"machine:{number}")
                os._exit(1)
    finally:
        for child in living.values():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    survivor = Agent(logged_in(server), "survivor:0", queue)

    def ended() -> list[dict[str, Any]]:
        survivor.work(run)
        found: list[dict[str, Any]] = server.call("tasks.get_all", id=tasks, only_fields=["status", "status_reason"])["tasks"]
        return found if {task["status"] for task in found} <= {"completed", "stopped"} else []

    found = wait_for(ended)
    ran = Counter(runs.read_text().split())
    assert set(ran.values()) == {1}
    assert {task["id"] for task in found if task["status"] == "completed"} <= set(ran)
    reasons = [task["status_reason"] for task in found if task["status"] == "stopped"]
    assert all(re.match(r"worker (machine:\d+|survivor:0) ", reason) for reason in reasons)
    assert "returned to its queue" in server.log.read_text(), "no kill came between the hand-out and the start"
