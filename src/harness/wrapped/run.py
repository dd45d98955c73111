"""The run of a script: its processes see nothing of the harness, which follows what they write."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoints
from ..errors import WorkloadError
from ..image import BAKED_ROOT
from ..params import Arguments
from ..plan import PLAN, Plan
from ..ranks import supervise
from ..remote_checkpoints import UploadedCheckpoints
from ..report import ClearMLReport, Report, TerminalReport
from ..tracking import reported
from ..workload import Declaration
from .checkout import checkout
from .follow import Follower
from .script import Script, module_of
from .words import words

FILES = "files"
"""The script's working folder, in that of its run."""
LAST_LINES = 1 << 16
"""Bytes at the end of a log in which the reason of a failure is looked for."""
RAISED = re.compile(rb"^(?:\[rank\d+\]: ?)?((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*)$", re.MULTILINE)
OURS = Path(__file__).resolve().parents[3]
"""The clone, or the folder of packages, that this harness is of."""


@dataclass(frozen=True)
class Wrapped:
    """A script with its code on this machine."""

    script: Script
    root: Path
    """The clone that the workload is in."""
    home: Path
    """The folder of the script's repository; of a script of this clone, its own."""

    @property
    def path(self) -> Path:
        return (self.home if self.script.repository else self.root) / self.script.path

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """A rank's: the script's repository is first on its path, and of this one at most `src`, last, for a script that lives here."""
        inherited = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry and not self.is_ours(entry)]
        module = module_of(self.path) if self.path.is_file() else None
        package = [str(module[0])] if module else []
        first, last = ([str(self.home)], []) if self.script.repository else ([], [str(self.root / "src")])
        path = [*dict.fromkeys([*package, *first]), *inherited, *last]
        return {name: value for name, value in environment.items() if name != PLAN} | {"PYTHONPATH": os.pathsep.join(path)}

    def is_ours(self, entry: str) -> bool:
        """Whether a place on the path is the harness's, or that of the clone which an agent puts there, or one baked into an image."""
        place = Path(entry).resolve()
        ours = (self.root.resolve(), BAKED_ROOT, OURS, OURS / "src")
        return place in ours or self.root.resolve() in place.parents or BAKED_ROOT in place.parents

    def words(self, arguments: Arguments, plan: Plan) -> list[str]:
        """The script's command line, after its path."""
        given = {**arguments.reserved, **plan.datasets}
        given |= {"output_dir": str(files_of(plan)), "seed": plan.seed, "resume": self.named(plan), "init_from": plan.init_from}
        return words(self.script, {key: value for key, value in arguments.flat_settings().items() if key in arguments.said}, given)

    def named(self, plan: Plan) -> str | None:
        """The checkpoint to go on from, by a name of the kind that the script gives its own."""
        if not plan.resume:
            return None
        suffix = next((Path(pattern).suffix for pattern in self.script.checkpoints), "")
        link = Path(plan.output_dir, f"resumed-checkpoint{suffix}")
        link.unlink(missing_ok=True)
        link.symlink_to(Path(plan.resume).absolute())
        return str(link)

    def working_folder(self, plan: Plan) -> Path:
        """The folder that the script works in: what it writes stays with the run, what it reads by relative paths is linked there."""
        folder = files_of(plan)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in (self.home if self.script.repository else self.path.parent).iterdir():
            if not entry.name.startswith(".") and entry.name != "__pycache__":
                with contextlib.suppress(FileExistsError):
                    (folder / entry.name).symlink_to(entry)
        return folder


def wrapped(declaration: Declaration, script: Script) -> Wrapped:
    """Bring a script's code to this machine.

    Raises:
        RepositoryError: it cannot be had.
        WorkloadError: there is no such script in it.
    """
    home = checkout(script.repository, script.commit) if script.repository else (declaration.root / script.path).parent
    found = Wrapped(script, declaration.root, home)
    if not found.path.is_file():
        raise WorkloadError(f"there is no script {script.path} in {script.repository or declaration.root}")
    return found


def files_of(plan: Plan) -> Path:
    return Path(plan.output_dir) / FILES


def run_script(run: Wrapped, arguments: Arguments, plan: Plan, argv: Sequence[str], task: Any, *, reporting: bool) -> None:
    """Run a script's processes on this machine to their end.

    Args:
        argv: the launcher's command line, up to the script's path.
        task: the ClearML task; None without a server.
        reporting: whether this machine is the one whose results are the run's.

    Raises:
        LaunchError: they cannot be started or do not end well.
    """
    log = Path(plan.output_dir) / "log.txt"
    environment = {**run.environment(os.environ), "PYTHONUNBUFFERED": "1"}
    module = module_of(run.path)
    what = ["-m", module[1]] if module else [argv[-1]]  # torchrun has the same flag as Python
    given = run.words(arguments, plan)
    line = [os.path.abspath(argv[0]), *argv[1:-1], *what, *given]
    folder = run.working_folder(plan)
    print(f"running {shlex.join([run.script.path, *given])}", flush=True)
    with log.open("ab") as output, followed(run, plan, task) if reporting else contextlib.nullcontext():
        supervise(line, environment, output, lambda: failure_in(log), folder)


@contextmanager
def followed(run: Wrapped, plan: Plan, task: Any) -> Iterator[None]:
    """Follow what the script writes, to the task or, without one, into the run's folder, until the block ends and all has arrived."""
    report: Report = TerminalReport(Path(plan.output_dir))
    uploads = None
    if task is not None:
        report, uploads = ClearMLReport(task, reported(task) if plan.requeued else None), UploadedCheckpoints(task)
    begin = re.search(r"step=(\d+)", Path(plan.resume or "").name)
    checkpoints = Checkpoints(Path(plan.output_dir) / "checkpoints", uploaded=uploads, run=plan.run)
    follower = Follower(files_of(plan), report, checkpoints, run.script.checkpoints, int(begin[1]) if begin else 0)
    try:
        with follower:
            yield
    finally:
        if uploads is not None:
            uploads.close()
        report.flush()


def failure_in(log: Path) -> str | None:
    """What a script that failed has raised: the last line of its last traceback, or None. That of torchrun only says that it failed."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_LINES))
        tracebacks = file.read().split(b"Traceback (most recent call last)")[1:]
    found = (raised[1].decode(errors="replace") for rest in reversed(tracebacks) if (raised := RAISED.search(rest)))
    return next((reason for reason in found if not reason.startswith("torch.distributed.elastic")), None)
