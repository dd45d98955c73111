"""What clearml-agent says to the server, for tests that need no more of it."""

from __future__ import annotations

from .server import LocalServer

INTERRUPTED = 254
"""Its `ExitStatus.interrupted`, -2, as an exit code."""
WORDS = "Changed by clearml-agent machine:0"


def ends(server: LocalServer, task: str, code: int) -> None:
    """Say that a task's process has ended, as `Worker.handle_task_process_termination` does: without force, whatever the run has said."""
    ways = {0: ("completed", "worker execution done"), INTERRUPTED: ("stopped", "user abort")}
    action, reason = ways.get(code, ("failed", f"worker execution exit code {code}"))
    server.ask(f"tasks.{action}", task=task, status_reason=reason, status_message=WORDS)
