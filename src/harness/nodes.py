"""A run on several machines (nodes): one ClearML task for each of them, which start and end together.

Node 0 is the task that was enqueued. The SDK's `Task.launch_multi_node` creates the tasks of the other nodes as clones in the same queue.
From then on each node pings the server every few seconds and checks the others: node 0 checks all of them, and they check node 0. A
node that fails reports the reason with its name; the others end with the same reason.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from . import reasons
from .api import request
from .errors import LaunchError, ParameterError
from .network import address_towards, held_port, interface_towards, wait_until_open
from .reasons import STOPPED
from .sdk import set_runtime

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two checks of the other nodes, and between two pings."""
SILENCE = 60.0
"""Seconds without a ping after which a node counts as lost."""
LAST_WORDS = 15.0
"""The same, once the ranks of this node have failed as if another node were gone."""
FAREWELL = 60.0
"""Seconds after which this node ends even if it could not ask about the others, since the server does not answer."""
TOGETHER = 3600.0
"""Seconds that a node may wait in its queue unless HARNESS_NODES_WITHIN is set: node 0's machine is idle in the meantime."""
REACHED = 300.0
"""Seconds within which node 0's launcher has to open its port."""

SECTION = "launch_multi_node"
"""The section in which the SDK keeps its own data about a node, both in the task's parameters and in its runtime properties."""
CLONE = "multi_node_instance"
"""The system tag of tasks that the SDK created for other nodes."""
STATE = "harness/node"
"""Runtime property: `joined` while a node fetches its data, `ready` once its ranks can start."""
FIELDS = (*reasons.FIELDS, "last_update", "runtime")

CONSEQUENCE = re.compile(r"connection|broken pipe|timed? ?out|peer|remote process|nccl|a process (ended|was ended)", re.IGNORECASE)
"""Errors of ranks that are probably a consequence: the ranks of another node have disappeared."""


@dataclass(frozen=True)
class Node:
    """A node, as the server knows it."""

    rank: int
    task: str
    status: str
    state: str = ""
    reason: str = ""
    heard: str = ""
    """When the server last heard from it, by the server's clock."""
    host: str = ""

    def __str__(self) -> str:
        return f"node {self.rank} (task {self.task}{f' on {self.host}' if self.host else ''})"


class Nodes:
    """Watches the other nodes of this run. On a single machine there are none, and nothing to do."""

    def __init__(
        self,
        task: Any = None,
        rank: int = 0,
        others: Mapping[str, int] | None = None,
        together: float = TOGETHER,
        held: socket.socket | None = None,
    ) -> None:
        """Watch `others`: if one of them fails, send this process a SIGTERM.

        Args:
            task: the task of this node.
            rank: the rank of this node.
            others: the tasks of the other nodes, with their ranks.
            together: seconds that another node may wait in its queue.
            held: reserves node 0's port until its launcher listens on it.
        """
        self.task, self.rank, self.others, self.together, self.held = task, rank, others or {}, together, held
        self.verdict: str | None = None
        """Why another node has ended the run."""
        self.tolerated = SILENCE
        self.signs: dict[str, tuple[str, int]] = {}
        self.told, self.looks = "", 0
        self.began = time.monotonic()
        self.all_ready, self.over, self.lock = threading.Event(), threading.Event(), threading.Lock()
        if self.others:
            threading.Thread(target=self.watch, name="nodes", daemon=True).start()

    def meet(self) -> None:
        """Wait until the ranks of all nodes can start: every node has its data and can reach node 0.

        Raises:
            LaunchError: this node cannot reach node 0.
        """
        if not self.others:
            return
        if self.rank:
            set_state(self.task, "ready")
        self.all_ready.wait()
        if self.rank:
            wait_until_open(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), REACHED)
        else:
            set_state(self.task, "ready")

    def end(self, reason: str, code: int) -> tuple[str, int]:
        """Why the run ended, and this process's exit code, given this node's own and what is known of the other nodes.

        The reason is that of another node, or that of this node with its name. Nodes that still wait in a queue are removed from it.
        """
        if not self.others:
            return reason, code
        if self.verdict is None and not reason.startswith(STOPPED) and CONSEQUENCE.search(reason):
            self.hear_last_words()
        self.close()
        if self.verdict is not None:
            reason, code = self.verdict, 1
        elif not reason.startswith(STOPPED):
            reason = f"{Node(self.rank, self.task.id, '', host=socket.gethostname())}: {reason}"
        if self.rank == 0:
            dismiss(self.task, self.others, reason)
        return reason, code

    def hear_last_words(self) -> None:
        """Give a failed node the time to report its reason, or to be recognised as unresponsive.

        Ranks fail with a connection error before the node that caused it has reported anything.
        """
        self.tolerated = LAST_WORDS
        enough, deadline = self.looks + LAST_WORDS / LOOK + 2, time.monotonic() + FAREWELL
        while self.looks < enough and time.monotonic() < deadline and not self.over.wait(LOOK):
            continue

    def close(self) -> None:
        """Stop watching."""
        with self.lock:
            self.over.set()
        if self.held is not None:
            self.held.close()

    def watch(self) -> None:
        """Run in the thread: check until the run is over. While the server does not answer, no node is judged."""
        while not self.over.is_set():
            try:
                request(self.task, "ping", task=self.task.id)
                self.look(nodes_of(self.task, self.others))
                self.looks += 1
            except Exception as error:  # noqa: BLE001  of the SDK, requests or the server: without this thread nobody would watch
                log.debug("the other nodes could not be checked: %s", error)
            self.over.wait(LOOK)

    def look(self, nodes: Collection[Node]) -> None:
        """End the run if one of the nodes has failed; log which of them the run is waiting for."""
        for node in nodes:
            if verdict := self.judge(node):
                with self.lock:
                    if not self.over.is_set():
                        self.verdict = verdict
                        self.over.set()
                        os.kill(os.getpid(), signal.SIGTERM)
                return
        awaited = [node for node in nodes if node.state != "ready"]
        telling = "; ".join(f"{node}: {'fetching its data' if node.state else node.status}" for node in awaited)
        if telling not in {"", self.told}:
            log.warning("waiting for %s", telling)
        self.told = telling
        if not awaited:
            self.all_ready.set()

    def judge(self, node: Node) -> str | None:
        """Why the run cannot go on with this node, or None."""
        if node.status == "failed":
            return node.reason if re.match(r"node \d+ \(", node.reason) else f"{node}: {node.reason or 'its task failed'}"
        if node.status in {"stopped", "created", "deleted"}:
            return node.reason if node.reason.startswith(f"{STOPPED} node") else f"{STOPPED} {node}, whose task is {node.status}"
        if node.status not in {"queued", "in_progress"} and not self.all_ready.is_set():
            return f"{node}: its task is {node.status} already; enqueue the task of node 0 again"
        if node.status == "queued" and time.monotonic() - self.began > self.together:
            return f"{node}: still queued after {self.together:.0f} s, the limit HARNESS_NODES_WITHIN; each node needs its own agent"
        if node.status == "in_progress" and (silence := self.silence(node)) > (self.tolerated if node.state else self.together):
            reason = f"{node}: unresponsive for {silence:.0f} s; it was killed, or has lost its connection to the server"
            end(self.task, node, reason)
            return reason
        return None

    def silence(self, node: Node) -> float:
        """Seconds without a ping, counted in checks that saw no new one: time in which the server did not answer must not count."""
        heard, looks = self.signs.get(node.task, (None, 0))
        looks = looks + 1 if heard == node.heard else 0
        self.signs[node.task] = node.heard, looks
        return looks * LOOK


def join(task: Any, nnodes: int) -> Nodes:
    """Create the tasks of the other nodes if this is node 0, and set the environment variables of the rendezvous.

    Node 0's address is MASTER_ADDR in the environment of its agent, by default the address from which it reaches the ClearML server; its
    port is MASTER_PORT, by default a free one. (In the SDK, CLEARML_MULTI_NODE_MASTER_DEF_ADDR and _PORT take precedence over both.)

    Raises:
        LaunchError: the nodes could not be enqueued.
        ParameterError: HARNESS_NODES_WITHIN is not a number.
    """
    together = seconds(os.environ, "HARNESS_NODES_WITHIN", TOGETHER)
    earlier = clones(task)
    task.update_parameters({f"{SECTION}/total_num_nodes": nnodes})  # a clone has the number of its original, and the SDK would use that
    set_state(task, "joined")
    held = held_port()
    try:
        facts = task.launch_multi_node(nnodes, port=held.getsockname()[1], addr=address_towards(task.session.host))
        others = clones(task, but=earlier)
        for other, place in others.items():
            request(task, "update", task=other, name=f"{task.name} node {place}")
    except BaseException as error:  # a SIGTERM, too
        held.close()
        reason = f"the other nodes could not be enqueued: {error or type(error).__name__}"
        dismiss(task, clones(task, but=earlier), reason)
        if isinstance(error, Exception):
            raise LaunchError(reason) from error
        raise
    if rank := int(facts["node_rank"]):
        held.close()
        return Nodes(task, rank, {task.parent: 0}, together)
    return Nodes(task, 0, others, together, held)


def choose_interface(environment: MutableMapping[str, str]) -> None:
    """Make gloo use the interface that leads to node 0, unless one is set: its own choice is the one that the host name resolves to."""
    if "GLOO_SOCKET_IFNAME" not in environment and (interface := interface_towards(environment["MASTER_ADDR"])):
        environment["GLOO_SOCKET_IFNAME"] = interface


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    stated = environment.get(name) or default
    try:
        return float(stated)
    except ValueError as error:
        raise ParameterError([f"{name}={stated}: must be float, in seconds"]) from error


def set_state(task: Any, state: str) -> None:
    set_runtime(task, {STATE: state})


def clones(task: Any, but: Collection[str] = ()) -> dict[str, int]:
    """The tasks that were cloned from this one for other nodes, with their ranks."""
    found = request(task, "get_all", parent=task.id, system_tags=[CLONE], only_fields=["id", "runtime"])["tasks"]
    numbers = {str(entry["id"]): int((entry.get("runtime") or {}).get(f"{SECTION}/node_rank", 0)) for entry in found}
    return {clone: numbers[clone] for clone in sorted(numbers, key=lambda clone: numbers[clone]) if clone not in but}


def nodes_of(task: Any, others: Mapping[str, int]) -> list[Node]:
    """The present state of these nodes."""
    found = {entry["id"]: entry for entry in request(task, "get_all", id=list(others), only_fields=FIELDS)["tasks"]}
    return [node_of(rank, found.get(other, {"id": other, "status": "deleted"})) for other, rank in others.items()]


def node_of(rank: int, entry: Mapping[str, Any]) -> Node:
    runtime = entry.get("runtime") or {}
    return Node(
        rank=rank,
        task=entry["id"],
        status=entry["status"],
        state=runtime.get(STATE) or "",
        reason=reasons.reason_of(entry),
        heard=str(entry.get("last_update")),
        host=runtime.get("hostname") or "",
    )


def dismiss(task: Any, others: Mapping[str, int], reason: str) -> None:
    """End all nodes that have not started yet."""
    try:
        for node in nodes_of(task, others):
            if node.status == "queued":
                request(task, "dequeue", task=node.task)
            if node.status in {"queued", "created"}:
                end(task, node, reason)
    except Exception as error:  # noqa: BLE001  whatever it is, the run ends for another reason, which must be reported
        log.warning("nodes that have not started may remain in their queue: %s", error)


def end(task: Any, node: Node, reason: str) -> None:
    reasons.tell(task, node.task, reason)
    action = "stopped" if reason.startswith(STOPPED) else "failed"
    request(task, action, task=node.task, force=True, status_reason=reason, status_message=reason)
