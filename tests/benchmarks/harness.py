"""What the harness adds between the start of the process and the first training step, phase by phase; and how output passes through it.

The alternative is the bare training function: the same script, calling it with its settings and nothing else. To output without a
newline it is as much output in lines.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.server import LocalServer
from support.toy import ROOT, make_repository

from benchmarks.table import Row, less_is_better, publish

ROUNDS = 5
TEXT = """
What the harness adds between the start of the process and the first training step. The alternative is the same script calling the bare
training function. The harness adds a second interpreter (the rank's, in the image's environment) and, with a server, two imports of the SDK
and the task's record. The last row is the output of a rank on its way through the parent. A ratio above 1 means that ours is faster.
"""
SCRIPT = """\
import os, sys, time
from pathlib import Path

def mark(name):
    with open(os.environ["MARKS"], "a") as marks:
        marks.write(f"{name} {time.time()}\\n")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
role = "rank" if os.environ.get("HARNESS_PLAN") else "parent"
mark(f"{role} started")

def train(job):
    mark("first step")

if __name__ == "__main__" and sys.argv[1:] == ["bare"]:
    import toy_settings
    train(toy_settings.Train())
elif __name__ == "__main__":
    import harness
    mark(f"{role} imported")
    harness.main(__file__, train=train)
"""
PRINTED = 100_000_000  # bytes
PARENT = "import os, sys; from harness.ranks import supervise; supervise(sys.argv[1:], os.environ, open(os.devnull, 'wb'), lambda: None)"
RANK = "import sys; [sys.stdout.buffer.write((b'.' * 99 + bytes(sys.argv[1], 'ascii')) * 1000) for _ in range(int(sys.argv[2]) // 100_000)]"
PHASES = {
    "parent: interpreter": ("start", "parent started"),
    "parent: imports": ("parent started", "parent imported"),
    "parent: arguments, task, data, plan; rank: interpreter": ("parent imported", "rank started"),
    "rank: imports": ("rank started", "rank imported"),
    "rank: plan, report": ("rank imported", "first step"),
}


def run(script: Path, place: Path, environment: dict[str, str], *tokens: str) -> dict[str, float]:
    """The moments of one run, in seconds since its start."""
    marks = place / "marks"
    marks.unlink(missing_ok=True)
    started = time.time()
    subprocess.run([sys.executable, script, *tokens], cwd=place, env={**environment, "MARKS": str(marks)}, check=True, capture_output=True)
    lines = [line.rpartition(" ") for line in marks.read_text().splitlines()]
    return {"start": 0.0} | {name: float(moment) - started for name, _, moment in lines}


def rows_of(title: str, runs: list[dict[str, float]], bare: list[dict[str, float]]) -> list[Row]:
    def median(moments: list[dict[str, float]], name: str) -> float:
        return statistics.median(moment[name] for moment in moments)

    ours, alternative = median(runs, "first step"), median(bare, "first step")
    rows = [
        less_is_better(f"{title}: start to first step", ours, alternative, "s"),
        less_is_better(f"{title}: added", ours - alternative, None, "s"),
    ]
    for name, (begin, end) in PHASES.items():
        rows.append(less_is_better(f"{title}: {name}", statistics.median(run[end] - run[begin] for run in runs), None, "s"))
    return rows


def printed(end: str, size: int = PRINTED) -> float:
    """Seconds that a rank takes to print `size` bytes, 100 at a time with `end` as the last of them."""
    began = time.perf_counter()
    command = [sys.executable, "-c", PARENT, sys.executable, "-c", RANK, end, str(size)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def row_of_output() -> Row:
    times = [(printed("."), printed("\n")) for _ in range(ROUNDS)]
    without, lines = (statistics.median(column) for column in zip(*times, strict=True))
    return less_is_better("100 MB of output without a newline", without, lines, "s", "the alternative is 100 MB in lines of 100 bytes")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        script = make_repository(place / "repository")
        script.write_text(SCRIPT)
        (place / "data").mkdir()
        (place / "data" / "numbers.txt").write_text("1\n")
        alone = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")} | {"HOME": str(place)}
        server = LocalServer(place / "server")
        try:
            bare, without, with_server = [], [], []
            for _ in range(ROUNDS):  # in turn, so that a busy moment meets all three
                bare.append(run(script, place, alone, "bare"))
                without.append(run(script, place, alone, "dataset_path=data"))
                with_server.append(run(script, place, server.env, "dataset_path=data"))
        finally:
            server.stop()
    publish("harness", TEXT, [*rows_of("no server", without, bare), *rows_of("with a server", with_server, bare), row_of_output()])


if __name__ == "__main__":
    main()
