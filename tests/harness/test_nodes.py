"""A run on several machines: its tasks start together, end together, and say the same about it."""

from __future__ import annotations

import re
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.agent import INTERRUPTED, ends
from support.events import wait_for
from support.nodes import Machines
from support.server import LocalServer

from harness import nodes as harness_nodes
from harness.errors import LaunchError, ParameterError
from harness.network import address_towards, held_port, interface_towards, wait_until_open
from harness.nodes import SECTION, STATE, Nodes, choose_interface, seconds
from harness.reasons import reason_of, tell


@pytest.fixture
def machines(server: LocalServer, tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(server, tmp_path)
    yield machines
    machines.close()


@pytest.fixture(scope="class")
def finished(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machines, list[str]]]:
    """The two tasks of a run that went well."""
    machines = Machines(server, tmp_path_factory.mktemp("machines"))
    machines.enqueue("dataset_path=data", "steps=2", "nnodes=2", "nproc_per_node=2")
    started = [machines.take() for _ in range(2)]
    yield machines, [machines.ended(*each)["id"] for each in started]
    machines.close()


def arguments(task: dict[str, Any]) -> dict[str, str]:
    return {name: entry["value"] for name, entry in task["hyperparams"]["Args"].items()}


@pytest.mark.slow
class TestRun:
    """Each node is a parent and a rank, which import the SDK."""

    def test_one_task_becomes_one_for_each_machine(self, finished: tuple[Machines, list[str]]) -> None:
        machines, tasks = finished
        zero, one = map(machines.task, tasks)
        logs = [machines.log(zero["id"]), machines.log(one["id"])]
        assert (zero["status"], one["status"]) == ("completed", "completed"), logs
        assert (zero["name"], one["name"], one["parent"]) == ("toy train", "toy train node 1", zero["id"])
        assert arguments(zero) == arguments(one)
        for rank in range(4):
            assert [log.count(f"rank {rank} of 4: step 2") for log in logs] == ([1, 0] if rank < 2 else [0, 1])
        assert [entry["metric"] for variants in zero["last_metrics"].values() for entry in variants.values()].count("sum") == 1
        assert (one["last_metrics"], one["models"]["output"]) == ({}, [])
        assert machines.waiting() == []  # node 1 has made no nodes of its own

    def test_node_1_alone_cannot_be_repeated(self, finished: tuple[Machines, list[str]]) -> None:
        machines, (_, one) = finished
        machines.server.call("tasks.enqueue", task=one, queue=machines.queue, force=True)
        again = machines.ended(*machines.take())
        assert again["status"] == "failed"
        assert "its task is completed already; enqueue the task of node 0 again" in reason_of(again)

    def test_a_clone_with_another_number_makes_that_many(self, finished: tuple[Machines, list[str]]) -> None:
        """The SDK keeps the number of nodes among the parameters of the task, and a clone has them, too."""
        machines, (zero, _) = finished
        again = machines.server.call("tasks.clone", task=zero)["id"]
        changed = machines.task(again)["hyperparams"] | machines.stated("dataset_path=data", "nnodes=4")
        machines.server.call("tasks.edit", task=again, hyperparams=changed)
        machines.server.call("tasks.enqueue", task=again, queue=machines.queue)
        _, process = machines.take()
        wait_for(lambda: "waiting for node 1" in machines.log(again))
        assert len(machines.waiting()) == 3
        process.send_signal(signal.SIGTERM)
        machines.ended(again, process)

    def test_a_failure_on_one_machine_ends_the_run_on_all_with_the_same_reason(self, machines: Machines) -> None:
        machines.enqueue("dataset_path=data", "steps=1000", "pause=0.1", "nnodes=3", "fail_at=2", "fail_rank=1")
        started = [machines.take() for _ in range(3)]
        ended = [machines.ended(*each) for each in started]
        (failed,) = (task for task in ended if task["name"] == "toy train node 1")
        told = f"node 1 (task {failed['id']} on {socket.gethostname()}): rank 1: ValueError: step 2 went wrong"
        assert [(task["status"], reason_of(task)) for task in ended] == [("failed", told)] * 3
        assert {task["status_reason"] for task in ended} == {"worker execution exit code 1"}  # their agents have come last

    def test_a_machine_that_cannot_have_its_data_ends_the_run(self, machines: Machines) -> None:
        machines.enqueue("dataset_path=data", "nnodes=2")
        first = machines.take()
        wait_for(machines.waiting)  # node 0 has read its argument
        elsewhere = machines.folder / "elsewhere"
        elsewhere.mkdir()
        ended = [machines.ended(*each) for each in (first, machines.take(cwd=elsewhere))]
        assert all(re.match(r"node 1 \(.*dataset_path=data: there is no such folder", reason_of(task)) for task in ended), ended
        assert "rank 0" not in machines.log(ended[0]["id"])

    def test_who_stops_node_0_stops_all(self, machines: Machines) -> None:
        zero = machines.enqueue("dataset_path=data", "steps=1000", "pause=0.1", "nnodes=2")
        first, second = machines.take(), machines.take()
        wait_for(lambda: "rank 0 of 2: step 2" in machines.log(zero) and "rank 1 of 2: step 2" in machines.log(second[0]))
        first[1].send_signal(signal.SIGTERM)  # as an agent does whose task is stopped
        ended = [machines.ended(*each) for each in (first, second)]
        assert [task["status"] for task in ended] == ["stopped", "stopped"]
        assert reason_of(ended[0]) == "stopped by SIGTERM; the last checkpoint is kept"
        assert reason_of(ended[1]).startswith(f"stopped by node 0 (task {zero}")
        assert (first[1].returncode, second[1].returncode) == (INTERRUPTED, INTERRUPTED)  # or their agents would call them failed
        assert ended[0]["models"]["output"]  # the checkpoint is kept

    def test_a_stop_while_waiting_for_another_machine_leaves_nothing_in_the_queue(self, machines: Machines) -> None:
        zero = machines.enqueue("dataset_path=data", "nnodes=2")
        first = machines.take()
        wait_for(lambda: "waiting for node 1" in machines.log(zero))
        (one,) = machines.waiting()
        first[1].send_signal(signal.SIGTERM)
        assert machines.ended(*first)["status"] == "stopped"
        assert (machines.task(one)["status"], machines.waiting()) == ("stopped", [])

    def test_too_few_machines_end_the_run_after_a_while(self, machines: Machines) -> None:
        machines.enqueue("dataset_path=data", "nnodes=2")
        zero = machines.ended(*machines.take(HARNESS_NODES_WITHIN="3"))
        assert zero["status"] == "failed"
        assert re.match(r"node 1 \(task \w+\): still queued after 3 s", reason_of(zero))
        assert machines.waiting() == []

    def test_a_task_without_a_queue_cannot_have_other_nodes(self, machines: Machines) -> None:
        """As `clearml-agent execute` runs one."""
        body = {"name": "toy train", "type": "training", "hyperparams": machines.stated("dataset_path=data", "nnodes=2")}
        task = str(machines.server.call("tasks.create", **body)["id"])
        machines.server.call("tasks.started", task=task)
        ended = machines.ended(task, machines.start(task, [], None, machines.server.env | {"CLEARML_TASK_ID": task}))
        assert ended["status"] == "failed"
        assert reason_of(ended).startswith("the other nodes could not be enqueued: Master task is not enqueued to any queue")

    def test_by_hand_every_machine_is_told_where_they_meet(self, machines: Machines) -> None:
        with held_port() as held:
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(held.getsockname()[1])}
            started = [machines.by_hand("dataset_path=data", "nnodes=2", NODE_RANK=str(rank), **place) for rank in (0, 1)]
            assert [process.wait(60) for process in started] == [0, 0]
        assert "rank 0 of 2: step 3" in machines.log("by-hand-0")
        assert "rank 1 of 2: step 3" in machines.log("by-hand-1")

    def test_by_hand_nothing_starts_before_that_is_known(self, machines: Machines) -> None:
        process = machines.by_hand("dataset_path=data", "nnodes=2", NODE_RANK="2", MASTER_ADDR="127.0.0.1")
        assert process.wait(60) == 2
        told = "nnodes=2 without an agent: set MASTER_PORT on each machine, NODE_RANK from 0 to 1; or let ClearML start the run on the "
        assert machines.log("by-hand-2") == f"error: {told}machines: registry enqueue\nNODE_RANK=2: must be int from 0 to 1\n"


class Watched:
    """Node 0 in this process, and a task that is its node 1."""

    def __init__(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.refusing, self.refused = False, 0
        self.told, self.over = threading.Event(), threading.Event()
        for name, value in (("LOOK", 0.05), ("SILENCE", 1.0), ("LAST_WORDS", 0.3)):
            monkeypatch.setattr(harness_nodes, name, value)
        self.zero, self.one = self.new_task("zero"), self.new_task("one")
        self.call("started", self.zero)
        self.nodes: list[Nodes] = []

    def new_task(self, name: str) -> str:
        return str(self.server.call("tasks.create", name=f"node {name}", type="training", script={"entry_point": "x.py"})["id"])

    def call(self, action: str, task: str, **body: Any) -> dict[str, Any]:
        return self.server.call(f"tasks.{action}", task=task, **body)

    def send_request(self, service: str, action: str, json: dict[str, Any]) -> Any:
        """As the SDK's session has it."""
        if self.refusing:
            self.refused += 1
            raise OSError("no route to host")
        return self.server.ask(f"{service}.{action}", **json)

    def watch(self, **options: Any) -> Nodes:
        self.nodes.append(Nodes(SimpleNamespace(id=self.zero, session=self), 0, {self.one: 1}, **options))
        return self.nodes[-1]

    def tell(self, task: str, reason: str) -> None:
        tell(SimpleNamespace(id=task, session=self), task, reason)

    def verdict(self, **options: Any) -> str:
        """What node 0 finds, once it has been told to end."""
        nodes = self.watch(**options)
        wait_for(self.told.is_set)
        assert nodes.verdict is not None
        return nodes.verdict

    def start(self, state: str = "ready") -> None:
        self.call("started", self.one)
        self.call("edit", self.one, force=True, runtime={f"{SECTION}/node_rank": 1, STATE: state, "hostname": "pluto"})

    def live(self) -> None:
        def pulse() -> None:
            while not self.over.wait(0.05):
                self.call("ping", self.one)

        threading.Thread(target=pulse, daemon=True).start()

    def looks(self, count: int) -> None:
        """Wait until the server has heard node 0 that many times."""
        heard = set()
        wait_for(lambda: heard.add(self.task(self.zero)["last_update"]) or len(heard) > count)

    def task(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("tasks.get_by_id", task=task)["task"]
        return found


@pytest.fixture
def watched(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """SIGTERM, by which a node is told to end, only leaves a mark."""
    watched = Watched(server, monkeypatch)
    before = signal.signal(signal.SIGTERM, lambda *_: watched.told.set())
    yield watched
    watched.over.set()
    for nodes in watched.nodes:
        nodes.close()
    signal.signal(signal.SIGTERM, before)


class TestWatching:
    def test_a_silent_node_is_lost_and_its_task_says_so(self, watched: Watched) -> None:
        watched.start()
        verdict = watched.verdict()
        assert re.match(rf"node 1 \(task {watched.one} on pluto\): unresponsive for 1 s", verdict)
        one = watched.task(watched.one)
        assert (one["status"], one["status_message"], reason_of(one)) == ("failed", verdict, verdict)

    def test_a_node_that_lives_is_left_alone(self, watched: Watched) -> None:
        watched.start()
        watched.live()
        nodes = watched.watch()
        watched.looks(40)
        assert (nodes.verdict, nodes.all_ready.is_set()) == (None, True)

    def test_silence_counts_only_while_the_server_answers(self, watched: Watched) -> None:
        watched.start()
        nodes = watched.watch()
        watched.looks(2)
        watched.refusing = True
        wait_for(lambda: watched.refused > 40)
        assert nodes.verdict is None

    def test_an_agent_may_take_its_time_before_the_node_begins(self, watched: Watched) -> None:
        watched.start(state="")
        nodes = watched.watch()
        watched.looks(40)
        assert (nodes.verdict, nodes.all_ready.is_set()) == (None, False)

    @pytest.mark.parametrize(
        ("reason", "told"),
        [("node 2 (task x): rank 4: ValueError: no", "^node 2 \\(task x\\): rank 4"), ("exit code 3", "^node 1 \\(task .*: exit code 3")],
    )
    def test_a_failure_is_told_with_the_name_of_its_node(self, watched: Watched, reason: str, told: str) -> None:
        watched.start()
        watched.call("failed", watched.one, status_message=reason)
        assert re.search(told, watched.verdict())

    def test_what_the_agent_says_is_no_reason(self, watched: Watched) -> None:
        """On ClearML's server it comes last and replaces what the node has said of itself."""
        watched.start()
        told = "node 1 (task x on pluto): rank 1: ValueError: step 2 went wrong"
        watched.tell(watched.one, told)
        watched.call("failed", watched.one, status_reason=told, status_message=told)
        ends(watched.server, watched.one, 1)
        assert watched.verdict() == told

    def test_the_agents_exit_code_is_explained_for_a_node_that_gave_no_reason(self, watched: Watched) -> None:
        watched.start()
        ends(watched.server, watched.one, 247)
        killed = "a process was ended by SIGKILL: out of memory, or killed by hand (worker execution exit code 247)"
        assert watched.verdict() == f"node 1 (task {watched.one} on pluto): {killed}"

    def test_a_stop_is_no_failure(self, watched: Watched) -> None:
        watched.start()
        watched.call("stopped", watched.one, status_message="by a person")
        verdict = watched.verdict()
        assert verdict.startswith("stopped by node 1")
        assert watched.nodes[0].end("stopped by SIGTERM; the last checkpoint is kept", 143) == (verdict, 1)

    def test_a_task_that_was_deleted_ends_the_run(self, watched: Watched) -> None:
        watched.start()
        watched.call("delete", watched.one, force=True)
        assert "whose task is deleted" in watched.verdict()

    def test_a_lost_connection_is_laid_to_the_node_that_is_gone(self, watched: Watched) -> None:
        watched.start()
        nodes = watched.watch()
        watched.looks(1)
        reason, code = nodes.end("rank 0: RuntimeError: Connection closed by peer [10.0.0.2]:4711", 1)
        assert re.match(rf"node 1 \(task {watched.one} on pluto\): unresponsive", reason)
        assert code == 1

    def test_a_lost_connection_between_living_nodes_is_reported_as_such(self, watched: Watched) -> None:
        watched.start()
        watched.live()
        reason, _ = watched.watch().end("rank 0: RuntimeError: Connection closed by peer", 1)
        host = socket.gethostname()
        assert reason == f"node 0 (task {watched.zero} on {host}): rank 0: RuntimeError: Connection closed by peer"

    def test_the_end_takes_what_has_not_started_off_the_queue(self, watched: Watched) -> None:
        queue = watched.server.call("queues.create", name=f"nodes-{uuid.uuid4().hex[:8]}")["id"]
        watched.call("enqueue", watched.one, queue=queue)
        reason, _ = watched.watch().end("rank 0: ValueError: no", 1)
        one = watched.task(watched.one)
        assert (one["status"], one["status_reason"], reason_of(one)) == ("failed", reason, reason)
        assert watched.server.call("queues.get_num_entries", queue=queue)["num"] == 0

    def test_a_server_that_is_gone_does_not_hold_up_the_end(self, watched: Watched) -> None:
        nodes = watched.watch()
        watched.refusing = True
        assert nodes.end("rank 0: ValueError: no", 1)[0].endswith("ValueError: no")


def test_one_machine_has_nothing_to_wait_for() -> None:
    nodes = Nodes()
    nodes.meet()
    assert nodes.end("rank 0: RuntimeError: Connection closed by peer", 1) == ("rank 0: RuntimeError: Connection closed by peer", 1)
    nodes.close()


def test_a_limit_is_a_number() -> None:
    assert (seconds({}, "WITHIN", 5.0), seconds({"WITHIN": "7"}, "WITHIN", 5.0)) == (5.0, 7.0)
    with pytest.raises(ParameterError, match="WITHIN=long: must be float, in seconds"):
        seconds({"WITHIN": "long"}, "WITHIN", 5.0)


class TestNetwork:
    def test_gloo_takes_the_way_to_node_0(self) -> None:
        environment = {"MASTER_ADDR": "127.0.0.1"}
        choose_interface(environment)
        assert environment["GLOO_SOCKET_IFNAME"] == "lo"
        stated = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "ib0"}
        choose_interface(stated)
        assert stated["GLOO_SOCKET_IFNAME"] == "ib0"

    def test_the_way_to_a_server_has_an_address_and_an_interface(self) -> None:
        assert address_towards("http://127.0.0.1:8008") == address_towards("localhost") == "127.0.0.1"
        assert interface_towards("127.0.0.1") == "lo"
        assert interface_towards("nowhere.invalid") is None

    def test_a_port_is_held_for_who_knows_its_number(self) -> None:
        with held_port() as held:
            place = ("127.0.0.1", held.getsockname()[1])
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(place)
            with socket.create_server(place):  # like torchrun's store it allows that the address is in use
                wait_until_open(*place, within=5)

    def test_a_port_that_stays_closed_is_told_with_what_to_do(self) -> None:
        with held_port() as held, pytest.raises(LaunchError, match=r"node 0 could not be reached at 127\.0\.0\.1 port \d+ .*MASTER_ADDR"):
            wait_until_open("127.0.0.1", held.getsockname()[1], within=0)
