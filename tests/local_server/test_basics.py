from support.server import LocalServer


def test_a_task_goes_through_a_queue(server: LocalServer) -> None:
    project = server.call("projects.create", name="basics")["id"]
    task = server.call("tasks.create", name="one task", type="training", project=project, script={"entry_point": "x.py"})["id"]
    queue = server.call("queues.create", name="basics")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == task
    assert server.call("queues.get_next_task", queue=queue) == {}
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "completed"
