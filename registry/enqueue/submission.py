"""From a request to runs: everything is checked before any task is created, and all problems are reported together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.grammar import read
from harness.params import Arguments, resolve
from harness.settings import nearest
from harness.workload import Declaration

from .. import catalog
from ..agents.agent import in_containers
from ..backends import Queue, Server
from ..errors import ServerError, UsageError
from ..findings import Findings
from ..image import Image
from ..run import PROJECT, Run, split
from ..tasks.lookup import find_task
from ..workload import discover, named
from . import source, tokens
from .available import check_environment
from .checkout import IN_A_PATH, Checkout, knows
from .earlier import completed, inherited
from .request import Request


@dataclass(frozen=True)
class Submission:
    """Checked runs, ready to be submitted in this order."""

    runs: tuple[Run, ...]
    commands: tuple[str, ...]
    """The command of each run; `task:<command>` in the arguments of a later run refers to its task."""
    queue: Queue | None
    warnings: tuple[str, ...]


def prepare(request: Request, root: Path, server: Server | None) -> Submission:
    """Check a request against the clone and the server. Without a server, what only the server knows is not checked.

    Raises:
        UsageError: lists every problem.
    """
    findings = Findings()
    workload = findings.attempt(lambda: named(request.workload, discover(root)))
    if workload and server and request.like:
        request = findings.attempt(lambda: completed(request, workload, server)) or request
        findings.settle()  # the rest can only be checked once that task is known
    code = source.read_for(server, root, request.branch, request.commit)
    findings.add(code.problems)
    findings.warnings += code.warnings
    queue_name = request.queue or (workload.queue if workload else "")
    queue = queue_named(queue_name, server, findings) if server and queue_name else None
    runs = []
    if workload is not None:
        if server:
            check_environment(Image(workload.image, root), request.image, request.commit, queue_name, server, findings)
        base = base_of(request, workload, code, root, queue_name)
        checkout = Checkout(
            root,
            code.commit if knows(root, code.commit) else "",
            here=server is not None and server.embedded and not in_containers(queue_name),
        )
        findings.add(checkout.problems_of_code(workload))
        references = References(workload, checkout, server, findings)
        earlier, lists = findings.attempt(lambda: (inherited(request, workload, server), token_lists(request, workload))) or ({}, [])
        for arguments, label in lists:
            run = checked_run(base, request, arguments, earlier, label, references, queue)
            runs += [run] if run else []
        findings.add(problems_of_repetition(runs))
    if server and queue:
        findings.warnings += warnings_of_machines(runs, queue, server)
    findings.settle()
    commands = tuple(run.parameters["command"] for run in runs)
    return Submission(tuple(runs), commands, queue, tuple(findings.warnings))


def base_of(request: Request, workload: Declaration, code: source.Source, root: Path, queue: str) -> Run:
    """What all runs of a request have in common. Name, type and arguments are still empty."""
    return Run(
        project=PROJECT if request.project is None else request.project,
        name="",
        type="",
        repository=code.repository,
        commit=code.commit,
        script=workload.script,
        image=Image(workload.image, root).reference(request.image),
        queue=queue,
        tags=request.tags,
        output_uri=request.output_uri,
    )


def token_lists(request: Request, workload: Declaration) -> list[tuple[tokens.Tokens, str]]:
    """The tokens of each run, and the label that its name has after the command."""
    typed = tokens.given(request.arguments, request.dataset, workload)
    if request.resume and "resume" in tokens.keys_of(typed):
        raise UsageError("resume is given twice: as --resume and as an argument")
    if request.smoke:
        return tokens.smoke(workload, typed)
    runs = tokens.sweep(typed)
    return [(run, " ".join(run)) for run, _ in runs] if request.like and not request.name else runs


def checked_run(
    base: Run, request: Request, typed: tokens.Tokens, earlier: Mapping[str, str], label: str, references: References, queue: Queue | None
) -> Run | None:
    """A run, or None if its problems are among the findings. `earlier` are the arguments of the task that it continues or repeats."""
    findings, workload = references.findings, references.workload
    arguments = findings.attempt(lambda: resolve(workload, typed, earlier))
    if arguments is None:
        references.resolved(
            {**earlier, **{key: argument.text for key, argument in read(typed)[0].items()}}
        )  # reports these problems even if keys are wrong
        return None
    values = references.resolved(arguments.texts)
    findings.warnings += [note for note in arguments.notes if note not in findings.warnings]
    findings.add(problems_of_gpus(arguments, queue))
    findings.add(references.checkout.problems_of_inputs(workload, arguments.reserved))
    command = arguments.command.name
    run = replace(
        base,
        name=" ".join(filter(None, [name_of(request, workload, arguments), label])),
        type=arguments.command.type,
        arguments=tuple(f"{key}={value}" for key, value in {"command": command, **arguments.texts, **values}.items()),
    )
    references.steps.append(command)
    findings.add(run.problems())
    return run


def problems_of_repetition(runs: Sequence[Run]) -> Sequence[str]:
    """Runs of a sweep that are identical: the values that differ in their names have no effect."""
    first = {run.arguments: run for run in reversed(runs)}
    again = [(first[run.arguments], run) for run in runs if first[run.arguments] is not run]
    return [f"the sweep contains the same run twice, as {before.name!r} and {run.name!r}" for before, run in again[:1]]


def name_of(request: Request, workload: Declaration, arguments: Arguments) -> str:
    if request.name:
        return f"{request.name}-{arguments.command.name}" if request.smoke else request.name
    config = arguments.reserved.get("config")
    return "-".join(filter(None, [workload.name, arguments.command.name, Path(config).stem if config else None]))


class References:
    """Datasets and tasks on the server that arguments refer to. Each is looked up once."""

    def __init__(self, workload: Declaration, checkout: Checkout, server: Server | None, findings: Findings) -> None:
        self.workload, self.checkout, self.server, self.findings = workload, checkout, server, findings
        self.aliases = catalog.load(checkout.root)
        self.steps: list[str] = []
        self.known: dict[str, str] = {}

    def resolved(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Full IDs for the aliases, names and shortened IDs in the arguments, by key."""
        if self.server is None:
            return {}
        values = {}
        for key, value in given.items():
            if value and key in self.workload.datasets:
                values[key] = self.once(value, self.dataset)
            elif value and key in {"resume", "init_from"} and not IN_A_PATH.search(value):
                values[key] = self.once(value, self.task)
        return {key: value for key, value in values.items() if value}

    def once(self, reference: str, look_up: Callable[[str], str]) -> str:
        if reference not in self.known:
            self.known[reference] = look_up(reference)
        return self.known[reference]

    def task(self, reference: str) -> str:
        if reference.startswith("task:"):
            return self.awaited(reference)
        assert self.server is not None
        server = self.server
        found = self.findings.attempt(lambda: find_task(server, reference))
        return str(found["id"]) if found else ""

    def dataset(self, reference: str) -> str:
        assert self.server is not None
        if reference.startswith("task:"):
            return self.awaited(reference)
        if "://" in reference:
            return reference
        identifier, problem = catalog.problem_of(self.server, reference, self.aliases)
        self.findings.add([problem] if problem else [])
        return identifier

    def awaited(self, reference: str) -> str:
        """`task:<command>` of an earlier step, unchanged; `task:<task>` with the task's full ID."""
        step = reference.removeprefix("task:")
        return reference if step in self.steps else f"task:{self.task(step)}"


def queue_named(name: str, server: Server, findings: Findings) -> Queue | None:
    """The queue called `name`. If it is missing, that is a problem; if no agent serves it, a warning."""
    queues = server.queues()
    if name not in queues:
        what = f"available: {', '.join(sorted(queues))}" if queues else "there are no queues yet"
        how = f"registry up --queue {name}" if server.embedded else f"registry queue create {name}"
        findings.add([f"there is no queue {name!r}{nearest(name, queues)}; {what}; create it: {how}"])
        return None
    if queues[name].id not in server.agents():
        how = "registry up" if server.embedded else f"registry agent --queue {name} (on any machine)"
        findings.warnings.append(f"no agent serves queue {name!r} at the moment; start one with: {how}")
    return queues[name]


def problems_of_gpus(arguments: Arguments, queue: Queue | None) -> Sequence[str]:
    """Whether a run has more processes than its machines have GPUs. On machines without GPUs, the processes share the CPU."""
    wanted = arguments.reserved["nproc_per_node"]
    if queue is None or not queue.gpus or wanted <= queue.gpus:
        return []
    return [
        f"nproc_per_node={wanted}: queue {queue.name!r} has {queue.gpus} GPU(s) per machine, according to its tag gpus={queue.gpus}; "
        f"use fewer processes or another queue, or correct the tag: registry queue set {queue.name} --gpus N"
    ]


def warnings_of_machines(runs: Sequence[Run], queue: Queue, server: Server) -> Sequence[str]:
    """Whether a queue has too few agents for runs on several machines: a run keeps its first machine while it waits for others."""
    nodes = [count for run in runs if (count := int(run.parameters.get("nnodes") or 1)) > 1]
    agents = len(server.agents().get(queue.id, ())) if nodes else 0
    if not agents:
        return []
    have = f"queue {queue.name!r} has {agents} at the moment"
    if agents < max(nodes):
        return [f"nnodes={max(nodes)} needs one agent per machine, but {have}: the run will wait for more agents"]
    if agents < sum(nodes) and len(nodes) > 1:
        return [
            f"{len(nodes)} runs need {sum(nodes)} agents together, but {have}: the runs may block each other; enqueue them one at a time"
        ]
    return []


def submit(submission: Submission, server: Server) -> list[dict[str, str]]:
    """Create the tasks of a submission, then enqueue all of them; return ID, name and project ID of each.

    If the server fails halfway, the drafts are deleted.
    """
    assert submission.queue is not None
    tasks: list[dict[str, str]] = []
    steps: dict[str, str] = {}
    try:
        for run, command in zip(submission.runs, submission.commands, strict=True):
            steps[command] = server.draft(final(run, steps))
            tasks.append({"id": steps[command], "name": run.name, "project": server.project(run.project)})
        server.enqueue([task["id"] for task in tasks], submission.queue)
    except BaseException:
        with contextlib.suppress(ServerError):
            server.delete(task["id"] for task in tasks)
        raise
    return tasks


def final(run: Run, tasks: Mapping[str, str]) -> Run:
    """A run with its references to earlier steps, `task:<command>`, replaced by those steps' task IDs."""

    def value_of(argument: str) -> str:
        key, value = split(argument)
        step = value.removeprefix("task:")
        return f"{key}=task:{tasks[step]}" if value.startswith("task:") and step in tasks else argument

    return replace(run, arguments=tuple(value_of(argument) for argument in run.arguments))
