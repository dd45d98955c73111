"""Demonstrations against the original's way: fusing views, storing an episode, making one. Each path in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cliport import PYTHON, found_by
from benchmarks.table import Row, less_is_better

TEXT = """
Recording demonstrations of `stack-block-pyramid`: fusing the cameras' views, storing an episode, making one.
"""
TASK = "stack-block-pyramid"
"""Six blocks."""
SEEDS = range(0, 10, 2)
TIMES = 50
"""Fusions of one observation."""


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` returns, and its CPU seconds."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def observation() -> Any:
    from cliport.sim.environment import Environment
    from cliport.tasks import make

    with Environment() as env:
        return env.reset(make(TASK), 0)


def fusion_ours(folder: Path) -> dict[str, Any]:
    """Fuse with the original's geometry, as for every step of every episode; the rays are known from the first time on."""
    import numpy as np

    from cliport.sim.fusion import fuse

    seen = observation()
    fuse(seen, geometry="original")
    view, seconds = timed(lambda: [fuse(seen, geometry="original") for _ in range(TIMES)][-1])
    np.savez(folder / "fused.npz", height=view.height, color=view.color)
    return {"ms": seconds / TIMES * 1000}


def fusion_original(folder: Path) -> dict[str, Any]:
    import numpy as np

    from benchmarks.cliport.original.fusion import fuse
    from cliport.sim.cameras import CAMERAS

    seen = observation()
    fuse(CAMERAS, seen.color, seen.depth)
    (height, color), seconds = timed(lambda: [fuse(CAMERAS, seen.color, seen.depth) for _ in range(TIMES)][-1])
    np.savez(folder / "fused.npz", height=height, color=color)
    return {"ms": seconds / TIMES * 1000}


def episodes_ours(folder: Path) -> dict[str, Any]:
    """Demonstrations as `command=demos` makes and stores them: views fused and compressed."""
    from cliport.data.codec import encode
    from cliport.rollout import oracle, roll_out
    from cliport.sim.environment import Environment
    from cliport.tasks import make

    with Environment() as env:

        def one(seed: int) -> float:
            task = make(TASK)
            episode = roll_out(env, task, seed, oracle(env, task))
            (folder / f"{seed}.npz").write_bytes(encode(episode))
            return episode.reward

        return made(one, folder)


def episodes_original(folder: Path) -> dict[str, Any]:
    from benchmarks.cliport.original.episode import SteppingEnvironment, demonstrate

    with SteppingEnvironment() as env:
        return made(lambda seed: demonstrate(env, TASK, seed, folder), folder)


def made(one: Callable[[int], float], folder: Path) -> dict[str, Any]:
    """Time and size of an episode, the first left out: it starts the renderer."""
    one(SEEDS[0])
    before = size(folder)
    rewards, seconds = timed(lambda: [one(seed) for seed in SEEDS[1:]])
    count = len(rewards)
    return {"s": seconds / count, "mb": (size(folder) - before) / count / 1e6, "solved": f"{sum(r > 0.99 for r in rewards)} of {count}"}


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


WAYS = {
    "fusion, ours": fusion_ours,
    "fusion, original": fusion_original,
    "episodes, ours": episodes_ours,
    "episodes, original": episodes_original,
}


def child(way: str, folder: Path) -> None:
    """Go one way, and write what it took."""
    folder.mkdir()
    found = WAYS[way](folder)
    print(json.dumps({**found, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}))


def agreement(folder: Path) -> str:
    """How far the two height maps agree."""
    program = (
        "import sys, numpy; a, b = (numpy.load(path) for path in sys.argv[1:]); "
        "print((abs(a['height'] - b['height']) < 1e-4).mean(), (a['color'] == b['color']).all(-1).mean())"
    )
    files = [str(folder / way / "fused.npz") for way in ("fusion, ours", "fusion, original")]
    done = subprocess.run([str(PYTHON), "-c", program, *files], check=True, stdout=subprocess.PIPE, text=True)
    heights, colors = map(float, done.stdout.split())
    return f"{heights:.1%} of the heights and {colors:.1%} of the colours are equal"


def rows() -> list[Row]:
    """`height-map fusion`, `storage per episode` and `demo episode`."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = {way: found_by("demonstration", way, folder / way) for way in WAYS}
        same = agreement(folder)

    def compared(metric: str, what: str, key: str, unit: str, note: str) -> Row:
        ours, original = (found[f"{what}, {way}"] for way in ("ours", "original"))
        peaks = f"peak memory {ours['peak_mib']:.0f} against {original['peak_mib']:.0f} MiB"
        return less_is_better(metric, ours[key], original[key], unit, f"{note}; {peaks}")

    solved = f"solved {found['episodes, ours']['solved']} against {found['episodes, original']['solved']}"
    return [
        compared("height-map fusion", "fusion", "ms", "CPU ms", f"the original's geometry; {same}"),
        compared("storage per episode", "episodes", "mb", "MB", f"{TASK}: height map and mask, against three views"),
        compared("demo episode", "episodes", "s", "CPU s", f"{TASK}, same renderer; {solved}"),
    ]


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))
