"""The statuses of a task, as ClearML's server names them."""

from __future__ import annotations

ALL = ("created", "queued", "in_progress", "stopped", "failed", "completed", "published", "closed")
"""In the order of a task's life."""
ACTIVE = ("queued", "in_progress")
"""Waiting for an agent, or run by one."""
PENDING = ("created", *ACTIVE)
SUCCEEDED = ("completed", "published", "closed")
ENDED_BADLY = ("failed", "stopped")
