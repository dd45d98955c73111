"""Queues: tasks in order, each handed out once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from support.events import NewTask
from support.server import LocalServer


def order(server: LocalServer, queue: str) -> list[str]:
    return [entry["task"] for entry in server.call("queues.get_by_id", queue=queue)["queue"]["entries"]]


def test_first_come_first_served(server: LocalServer, new_task: NewTask, queue: str) -> None:
    tasks = [new_task() for _ in range(3)]
    for task in tasks:
        server.call("tasks.enqueue", task=task, queue=queue)
    assert order(server, queue) == tasks
    assert server.call("queues.peek_task", queue=queue)["task"] == tasks[0]
    assert [server.call("queues.get_next_task", queue=queue)["entry"]["task"] for _ in tasks] == tasks
    assert server.call("queues.get_next_task", queue=queue) == {}


def test_tasks_move_within_their_queue(server: LocalServer, new_task: NewTask, queue: str) -> None:
    a, b, c, d = tasks = [new_task() for _ in range(4)]
    for task in tasks:
        server.call("tasks.enqueue", task=task, queue=queue)
    assert server.call("queues.move_task_to_front", queue=queue, task=c) == {"position": 0}
    assert order(server, queue) == [c, a, b, d]
    assert server.call("queues.move_task_forward", queue=queue, task=d, count=2) == {"position": 1}
    assert order(server, queue) == [c, d, a, b]
    assert server.call("queues.move_task_backward", queue=queue, task=c, count=99) == {"position": 3}
    assert server.call("queues.move_task_to_back", queue=queue, task=d) == {"position": 3}
    assert order(server, queue) == [a, b, c, d]
    server.call("queues.remove_task", queue=queue, task=b)
    assert server.ask("queues.move_task_to_front", queue=queue, task=b).status_code == 400
    assert order(server, queue) == [a, c, d]


def test_200_tasks_and_4_dequeuers_each_exactly_once(server: LocalServer, new_task: NewTask, queue: str) -> None:
    tasks = [new_task() for _ in range(200)]
    for task in tasks:
        server.call("tasks.enqueue", task=task, queue=queue)

    def drain(_: int) -> list[str]:
        taken = []
        while entry := server.call("queues.get_next_task", queue=queue).get("entry"):
            taken.append(entry["task"])
        return taken

    with ThreadPoolExecutor(4) as dequeuers:
        taken = list(dequeuers.map(drain, range(4)))
    assert sorted(task for share in taken for task in share) == sorted(tasks)
    assert all(share == sorted(share, key=tasks.index) for share in taken)


def test_a_queue_is_found_by_its_name_not_its_id(server: LocalServer) -> None:
    """clearml-task tries the name as an ID first, and expects a 400."""
    identity = server.call("queues.create", name="gpu01")["id"]
    answer = server.ask("queues.get_by_id", queue="gpu01")
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (400, 701)
    assert server.call("queues.get_all", name="^gpu01$", only_fields=["id"])["queues"] == [{"id": identity}]
    assert server.ask("queues.create", name="gpu01").status_code == 400


def test_deleting_a_queue_with_tasks_takes_force_and_makes_them_drafts(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task()
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.ask("queues.delete", queue=queue).status_code == 400
    server.call("queues.delete", queue=queue, force=True)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "created"


def test_workers_are_told_with_their_queues_and_tasks(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task("busy")
    server.call("workers.register", worker="machine:0", queues=[queue], timeout=600)
    server.call("workers.status_report", worker="machine:0", task=task, queue=queue, timestamp=0)
    (worker,) = [each for each in server.call("workers.get_all")["workers"] if each["id"] == "machine:0"]
    assert worker["queues"][0]["id"] == worker["queue"]["id"] == queue
    assert worker["task"]["name"] == "busy"
    assert server.call("tasks.get_by_id", task=task)["task"]["last_worker"] == "machine:0"
    server.call("workers.unregister", worker="machine:0")
    assert "machine:0" not in {each["id"] for each in server.call("workers.get_all")["workers"]}
