"""Choosing a renderer that works on this machine.

EGL renders on the graphics card if there is one, otherwise on the processor. A broken driver can crash its process, so EGL is tried in
another process first. TinyRenderer works everywhere and is slower.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pybullet

from ..errors import RendererError

RENDERERS = {"egl": pybullet.ER_BULLET_HARDWARE_OPENGL, "tiny": pybullet.ER_TINY_RENDERER}
PROBE_SECONDS = 60
SOURCE = Path(__file__).parents[2]

log = logging.getLogger(__name__)


@functools.cache
def choose(name: str) -> str:
    """The renderer to use, "egl" or "tiny": `name` itself, or for "auto" the faster one that works.

    Raises:
        RendererError: for an unknown name, or for "egl" if it does not work.
    """
    if name not in ("auto", *RENDERERS):
        raise RendererError(f"renderer: {name!r} is not one of auto, {', '.join(RENDERERS)}")
    failure = None if name == "tiny" else egl_failure()
    if failure and name == "egl":
        raise RendererError(f"renderer: egl does not work on this machine ({failure}); use tiny or auto")
    if failure:
        log.warning("EGL does not work on this machine (%s); using TinyRenderer, which is slower", failure)
    chosen = "tiny" if failure or name == "tiny" else "egl"
    log.info("renderer: %s", chosen)
    return chosen


@functools.cache
def egl_failure() -> str | None:
    """Why EGL does not work, or None if it does; tested once per process, by rendering in another one."""
    command = [sys.executable, "-c", "from cliport.sim.rendering import probe; probe()"]
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, env={**os.environ, "PYTHONPATH": path}, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no image within {PROBE_SECONDS} s"
    if tried.returncode == 0:
        return None
    lines = tried.stderr.strip().splitlines()
    return lines[-1] if lines and tried.returncode > 0 else f"its process ended with {tried.returncode}"


def probe() -> None:
    """Render a box with EGL, and exit with an error if it is not in the image."""
    client = pybullet.connect(pybullet.DIRECT)
    load_egl(client)
    shape = pybullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=[0.2] * 3, rgbaColor=[1, 0, 0, 1], physicsClientId=client)
    body = pybullet.createMultiBody(0, -1, shape, physicsClientId=client)
    view = pybullet.computeViewMatrix([0, 0, 2], [0, 0, 0], [0, 1, 0])
    projection = pybullet.computeProjectionMatrixFOV(60, 1, 0.1, 10)
    *_, mask = pybullet.getCameraImage(32, 32, view, projection, renderer=RENDERERS["egl"], physicsClientId=client)
    if body not in mask:
        sys.exit("it renders nothing")


def load_egl(client: int) -> None:
    """Enable EGL in a client without a window.

    Raises:
        RendererError: when the plugin is missing or finds no EGL.
    """
    found = importlib.util.find_spec("eglRenderer")
    if found is None or found.origin is None:
        raise RendererError("PyBullet was built without its EGL plugin")
    with muted():
        plugin = pybullet.loadPlugin(found.origin, "_eglRendererPlugin", physicsClientId=client)
    if plugin < 0:
        raise RendererError("PyBullet's EGL plugin cannot be loaded")


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Suppress what the simulator's C++ code prints on standard output."""
    # C's own buffer has to be flushed on both sides of the redirection, or its content ends up on the wrong side.
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    flush(None)
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)
