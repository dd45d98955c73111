"""The choice of a renderer, and that both show the same."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sim_scenes import Scene, block_and_bowl

from cliport.errors import RendererError
from cliport.sim import rendering
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a process in which nothing has been tried yet."""
    rendering.choose.cache_clear()
    rendering.egl_failure.cache_clear()
    yield monkeypatch  # type: ignore[misc]
    rendering.choose.cache_clear()
    rendering.egl_failure.cache_clear()


class Tried:
    """Stands for the other process."""

    def __init__(self, code: int = 0, stderr: str = "", error: Exception | None = None) -> None:
        self.code, self.stderr, self.error, self.calls = code, stderr, error, 0

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        if self.error:
            raise self.error
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


@pytest.mark.parametrize(
    ("tried", "reason"),
    [
        (Tried(1, "warning\nit renders nothing"), "it renders nothing"),
        (Tried(-11), "its process ended with -11"),
        (Tried(error=subprocess.TimeoutExpired("python", 60)), "no image within 60 s"),
    ],
)
def test_where_egl_fails_tiny_renderer_takes_over_and_says_so(
    untried: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tried: Tried, reason: str
) -> None:
    untried.setattr(subprocess, "run", tried)
    with caplog.at_level(logging.INFO, "cliport.sim.rendering"):
        assert rendering.choose("auto") == rendering.choose("auto") == "tiny"
    assert reason in caplog.text
    assert caplog.text.count("renderer: tiny") == 1
    assert tried.calls == 1
    with pytest.raises(RendererError, match=reason):
        rendering.choose("egl")
    assert tried.calls == 1


def test_where_egl_works_it_is_taken_after_one_try(untried: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    tried = Tried()
    untried.setattr(subprocess, "run", tried)
    with caplog.at_level(logging.INFO, "cliport.sim.rendering"):
        assert [rendering.choose(name) for name in ("auto", "egl", "auto")] == ["egl"] * 3
    assert tried.calls == 1
    assert "renderer: egl" in caplog.text


def test_tiny_renderer_needs_no_try(untried: pytest.MonkeyPatch) -> None:
    untried.setattr(subprocess, "run", None)
    assert rendering.choose("tiny") == "tiny"


def test_the_try_fails_where_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "load_egl", lambda client: None)  # without the plugin PyBullet's hardware renderer draws nothing
    monkeypatch.setitem(rendering.RENDERERS, "egl", rendering.RENDERERS["tiny"])
    rendering.probe()
    monkeypatch.setattr("pybullet.getCameraImage", lambda *_, **__: (1, 1, (), (), np.full(4, -1)))
    with pytest.raises(SystemExit, match="it renders nothing"):
        rendering.probe()


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RendererError, match="without its EGL plugin"):
        rendering.load_egl(0)


def test_what_c_prints_is_kept_off_standard_output() -> None:
    script = """
import ctypes, os
from cliport.sim.rendering import muted
libc = ctypes.CDLL(None)
libc.printf(b"before\\n")
with muted():
    libc.printf(b"hidden\\n")
    os.system("echo hidden too")
libc.printf(b"after\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=True
    )
    assert done.stdout.split() == ["before", "after"]


def test_both_renderers_show_the_same_scene(shared: Environment) -> None:
    if shared.renderer != "egl":
        pytest.skip("EGL does not work here: there is one renderer only")
    task = Scene(block_and_bowl)
    fast = fuse(shared.reset(task, 3))
    with Environment(renderer="tiny") as other:
        slow = fuse(other.reset(Scene(block_and_bowl), 3))
        assert other.info["renderer"] == "tiny"
    assert shared.info["renderer"] == "egl"
    assert (fast.mask == slow.mask).mean() > 0.99
    same = fast.mask == slow.mask
    assert np.median(abs(fast.height - slow.height)[same]) < 1e-3
    assert (abs(fast.height - slow.height)[same] < 3e-3).mean() > 0.99
    block = task.built[0]
    inside = (fast.mask == block) & (slow.mask == block)
    shades = [view.color[inside].astype(float).mean(0) for view in (fast, slow)]
    assert all(shade[0] > 3 * max(shade[1:]) for shade in shades)
