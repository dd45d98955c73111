"""No more loader processes than cores."""

from __future__ import annotations

import os

import pytest

from harness.torch.workers import worker_count


@pytest.mark.parametrize(("cores", "asked", "given"), [(2, 4, 2), (2, 1, 1), (8, 4, 4), (1, 0, 0)])
def test_there_are_no_more_loader_processes_than_cores(cores: int, asked: int, given: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert worker_count(asked) == given
