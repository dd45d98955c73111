"""Tasks whose agents are gone: what an agent does not report any more is stopped, and the reason names it."""

from __future__ import annotations

import pytest
from support.site import Clock, Site

from local_server import watch
from local_server.watch import Limits

START, REPORT, SILENCE = Limits.start, Limits.report, Limits.silence


@pytest.fixture
def queue(site: Site) -> str:
    return str(site.ask("queues.create", name="some queue")[1]["id"])


class TestAbandoned:
    """A running task whose worker is gone."""

    def test_it_is_stopped_within_two_minutes_and_the_reason_names_the_worker(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        site.wait(1000, (agent, task))
        assert site.status(task) == "in_progress"
        site.wait(120)
        seen = site.task(task)
        assert (seen["status"], seen["status_reason"]) == ("stopped", "worker machine:0 is gone: no report for 100 s")

    def test_one_whose_run_goes_on_without_its_agent_is_stopped_too(self, site: Site, queue: str) -> None:
        """An orphan reports scalars and pings; nobody can stop it through its agent. When it ends well, that counts."""
        task, agent, run = site.queued(queue), site.agent("machine:0", queue), site.login(agent=False)
        assert agent.take() == task
        assert agent.start(task)
        assert run("tasks.started", task=task)[0] == 200
        for _ in range(12):
            site.wait(10)
            assert run("tasks.ping", task=task)[0] == 200
        assert site.status(task) == "stopped"
        assert run("tasks.completed", task=task)[0] == 200
        assert site.status(task) == "completed"

    def test_an_agent_that_died_before_its_first_report_is_named(self, site: Site, queue: str) -> None:
        """Its time is counted from the start, not from the hand-out."""
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        site.wait(START - 20)
        assert agent.ask("tasks.started", task=task, force=True)[0] == 200
        site.wait(REPORT - 20)
        assert site.status(task) == "in_progress"
        site.wait(40)
        assert site.task(task)["status_reason"] == "worker machine:0 is gone: no report for 100 s"

    def test_an_agent_with_the_same_name_that_does_not_run_the_task_is_not_a_sign_of_life(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        started_anew = site.agent("machine:0", queue)
        for _ in range(12):
            site.wait(10)
            started_anew.report()
        assert site.task(task)["status_reason"] == "worker machine:0 no longer runs it"

    def test_pings_of_the_agent_count_as_its_reports(self, site: Site, queue: str) -> None:
        """It sends them every minute; how often it reports can be set (CLEARML_AGENT_STATUS_REPORT_FREQ_SEC)."""
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        for _ in range(10):
            site.wait(60)
            assert agent.ask("tasks.ping", task=task)[0] == 200
        assert site.status(task) == "in_progress"

    def test_a_frozen_agent_that_wakes_up_cannot_start_it_again(self, site: Site, queue: str) -> None:
        task, frozen, next_one = site.queued(queue), site.agent("machine:0", queue), site.agent("machine:1", queue)
        assert frozen.take() == task
        assert frozen.start(task)
        site.wait(120)
        assert not frozen.start(task)
        assert site.status(task) == "stopped"
        assert site.ask("tasks.enqueue", task=task, queue=queue)[0] == 200
        assert next_one.take() == task
        assert next_one.start(task)
        assert frozen.ask("tasks.failed", task=task, force=True)[0] == 400
        assert site.status(task) == "in_progress"

    def test_stop_ends_it_at_once_when_its_agent_has_missed_a_report(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        site.wait(30, (agent, task))
        site.wait(50)
        assert site.status(task) == "in_progress"
        assert site.ask("tasks.stop", task=task)[0] == 200
        assert site.status(task) == "stopped"

    def test_a_stop_request_is_carried_out_if_the_agent_dies_before_it_reads_it(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        site.ask("tasks.stop", task=task)
        assert site.task(task)["status_message"] == "stopping"
        site.wait(120)
        assert site.status(task) == "stopped"

    def test_a_task_without_a_worker_may_be_unresponsive_for_half_an_hour(self, site: Site) -> None:
        run = site.login(agent=False)
        task = site.ask("tasks.create", name="some task", type="training")[1]["id"]
        assert run("tasks.started", task=task)[0] == 200
        site.wait(SILENCE - 10)
        assert site.status(task) == "in_progress"

    def test_a_server_that_was_away_first_listens_again(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        site.stop()
        site.clock.now, site.clock.ticks = site.clock.now + 3600, site.clock.ticks + 3600
        site.start()
        site.wait(REPORT - 10)
        assert site.status(task) == "in_progress"
        site.wait(30)
        assert site.status(task) == "stopped"

    @pytest.mark.parametrize("ticks", [0.0, 3600.0], ids=["the machine was suspended", "the server was held up"])
    def test_a_server_that_slept_first_listens_again(self, site: Site, queue: str, ticks: float) -> None:
        """The monotonic clock stands still while the machine is suspended, and goes on while only the process is (SIGSTOP)."""
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.take() == task
        assert agent.start(task)
        site.clock.now, site.clock.ticks = site.clock.now + 3600, site.clock.ticks + ticks
        site.look()
        assert site.status(task) == "in_progress"
        site.wait(REPORT - 20, (agent, task))
        assert site.status(task) == "in_progress"
        site.wait(130)
        assert site.status(task) == "stopped"

    def test_an_ended_task_is_left_alone(self, site: Site, queue: str) -> None:
        task, agent = site.queued(queue), site.agent("machine:0", queue)
        assert agent.work() == task
        agent.report(task)  # one that was under way
        site.wait(120)
        assert site.status(task) == "completed"

    def test_a_late_report_of_an_ended_task_does_not_make_a_person_who_continues_it_an_agent(self, site: Site, queue: str) -> None:
        task, agent, person = site.queued(queue), site.agent("machine:0", queue), site.login(agent=False)
        assert agent.work() == task
        agent.report(task)
        assert person("tasks.started", task=task, force=True)[0] == 200
        site.wait(SILENCE - 10)
        assert site.status(task) == "in_progress"


def test_a_server_knows_how_long_it_has_listened(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    patience = watch.Patience()

    def listened(seconds: float, ticks: float) -> float:
        clock.now, clock.ticks = clock.now + seconds, clock.ticks + ticks
        return patience.listened()

    assert listened(10, 10) == 10
    assert listened(12, 10) == 20
    assert listened(3610, 10) == 0  # the machine slept
    assert listened(10, 10) == 10
    assert listened(-3590, 10) == 0  # its clock was put back
    assert listened(20, 20) == 20
    assert listened(60, 60) == 0  # the process was held up
