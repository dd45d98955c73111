"""The parent of a run: it prepares everything before the first rank starts, supervises the ranks, and marks the end of the task."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import local_run, requeue
from .agent import Agent, descent
from .checkpoint import ANEW, CHECKPOINTS, Checkpoints, find, find_weights, owner
from .data import materialise
from .errors import HarnessError, LaunchError, ParameterError
from .failure import read_failure
from .gpus import problems_of_processes
from .image import check_image
from .keys import path_key
from .launch import Launch, image_python, problems_of_meeting
from .nodes import Nodes, choose_interface, join
from .output import TERMINAL
from .params import Arguments, resolve
from .plan import PLAN, Plan
from .ranks import supervise
from .reasons import STOPPED
from .remote_checkpoints import checkpoint_of, stored_checkpoint
from .s3 import SCHEME
from .sdk import check_server, has_server, is_remote
from .sidecar import Sidecar
from .tracking import Tracked
from .workload import Declaration
from .wrapped.run import run_script, wrapped
from .writable import check_output

BAD_INPUT = 2
"""Exit code for wrong arguments, data or checkpoints."""
INTERRUPTED = 254
"""Exit code that makes clearml-agent mark a task as stopped, not failed."""
PLACE_OF_A_RANK = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Variables that a launcher sets for its ranks. Those in the parent's environment come from the SDK, which numbers nodes, or from
an outer launcher: the ranks must not inherit them."""


class Stopped(BaseException):
    """A SIGTERM while the run fetches data or waits. Not an Exception, since libraries on the stack would catch that."""


def stop(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is already ending
    raise Stopped


def run(declaration: Declaration, argv: Sequence[str], script: str) -> int:
    """Run the workload in this process, for an agent's task or for a command line, and return the exit code."""
    agent = Agent(descent() if is_remote(os.environ) else {})
    tracked, nodes = Tracked(declaration, None) if is_remote(os.environ) else None, Nodes()
    sidecar = None
    try:
        check_image(declaration.root, declaration.image)
        arguments = resolve(declaration, [], tracked.asked(declaration)) if tracked else by_hand(declaration, argv)
        launch = launch_of(arguments)
        python = image_python(declaration.image, declaration.root, os.environ)
        if tracked is None and has_server(os.environ):
            check_server()
            tracked = Tracked(declaration, arguments.command)
        if arguments.reserved[requeue.KEY]:
            sidecar = beside(declaration, arguments, tracked, agent)
        if tracked:
            tracked.settle_output()
        signal.signal(signal.SIGTERM, stop)  # after Task.init, whose own handler would swallow it
        agent.watch()
        if launch.nnodes > 1:
            nodes = join(tracked.task, launch.nnodes) if tracked and is_remote(os.environ) else nodes
            choose_interface(os.environ)
        unchanged = arguments.command.script and wrapped(declaration, arguments.command.script)
        ranks = launch.argv(python, str(unchanged.path) if unchanged else script, os.environ)
        plan = settle(declaration, arguments, tracked)
        nodes.meet()
        if unchanged:
            reporting = tracked is None or launch.nnodes == 1 or os.environ.get("NODE_RANK", "0") == "0"
            run_script(unchanged, arguments, plan, ranks, tracked.task if tracked else None, reporting=reporting)
        else:
            execute(declaration, plan, ranks)
        nodes.close()
    except LaunchError as error:
        return end(tracked, nodes, agent, sidecar, str(error), error.code)
    except HarnessError as error:
        return end(tracked, nodes, agent, sidecar, str(error), BAD_INPUT)
    except Stopped:
        return end(tracked, nodes, agent, sidecar, f"{STOPPED} SIGTERM before the first step", 128 + signal.SIGTERM)
    if tracked:
        tracked.close()
    return 0


def beside(declaration: Declaration, arguments: Arguments, tracked: Tracked | None, agent: Agent) -> Sidecar | None:
    """The process that requeues the run if its machine ends it; None if there is no queue, or if the agent is not visible."""
    if tracked is None or not is_remote(os.environ):
        print("requeue has no effect: this run was not started by an agent, so it has no queue to return to", flush=True)
        return None
    if agent.pid is None:
        return None
    output = output_of(declaration, arguments, tracked.id)
    check_output(arguments.reserved["output_dir"], output)
    left = arguments.reserved[requeue.KEY] - tracked.requeued
    return Sidecar(tracked.id, agent.pid, left, declaration.root / "src", output / "requeue.log")


def by_hand(declaration: Declaration, argv: Sequence[str]) -> Arguments:
    """The arguments of a local run's command line.

    Raises:
        ParameterError: also if the data or a checkpoint does not exist.
    """
    arguments = resolve(declaration, argv, home=local_run.home(declaration, os.environ))
    paths = {path_key(key): key for key in declaration.datasets}
    if problems := list(local_run.problems_of_inputs(arguments.reserved, paths, has_server=has_server(os.environ))):
        raise ParameterError(problems)
    return arguments


def end(tracked: Tracked | None, nodes: Nodes, agent: Agent, sidecar: Sidecar | None, reason: str, code: int) -> int:
    """Report why the run failed or was stopped: on the terminal, in the log, in the task's status and to the sidecar."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is already ending
    reason, code = nodes.end(reason, code)
    stopped, reason = reason.startswith(STOPPED), agent.why(reason)
    by_machine = requeue.BY_MACHINE.match(reason)
    if by_machine and sidecar:
        sidecar.say(reason)
        reason = reason if sidecar.left > 0 or tracked is None else requeue.used_up(reason, tracked.requeued)
    if is_remote(os.environ) and stopped:
        code = INTERRUPTED
    print(f"error: {reason}", file=sys.stderr, flush=True)
    if tracked:
        (tracked.stop if stopped else tracked.fail)(reason)
        tracked.close()
        if by_machine and sidecar:
            sidecar.leave()
        sys.stdout.flush()
        os._exit(code)  # the SDK's own exit handler would call a stopped task completed
    return code


def launch_of(arguments: Arguments) -> Launch:
    """How many processes to start.

    Raises:
        ParameterError: more of them than this machine has GPUs for, or on other machines with nothing said about where they meet.
    """
    launch = Launch(arguments.command.launcher, arguments.reserved["nproc_per_node"], arguments.reserved["nnodes"])
    problems = problems_of_processes(launch.nproc_per_node, os.environ)
    if launch.nnodes > 1 and not is_remote(os.environ):
        problems += problems_of_meeting(os.environ, launch.nnodes)
    if problems:
        raise ParameterError(problems)
    return launch


def settle(declaration: Declaration, arguments: Arguments, tracked: Tracked | None) -> Plan:
    """Bring data and checkpoint to this machine, write down what the run depends on, and plan it.

    Raises:
        HarnessError: for data or a checkpoint that cannot be had, or a folder that cannot be written.
    """
    for note in arguments.notes:
        print(note, flush=True)
    reserved = arguments.reserved
    name = tracked.id if tracked else f"{arguments.command.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    output = output_of(declaration, arguments, name)
    check_output(reserved["output_dir"], output / CHECKPOINTS)
    last = local_run.last_checkpoint(arguments.folder, reserved["resume"]) if arguments.folder else None
    run = name if tracked and tracked.requeued else owner_of(output, name, reserved["resume"], last)
    wanted = {key: (arguments.datasets.get(key), reserved.get(path_key(key))) for key in declaration.datasets}
    datasets = {key: materialise(source, path) for key, (source, path) in wanted.items() if source or path}
    if tracked:
        tracked.record(arguments, {key: dataset.identity for key, dataset in datasets.items()})
        tracked.note(declaration.metrics)
    own = str(tracked.own_checkpoint(output) or "") if tracked and tracked.requeued else ""
    plan = Plan(
        workload=declaration.name,
        command=arguments.command.name,
        name=name,
        settings=arguments.flat_settings(),
        datasets={key: str(dataset.folder) for key, dataset in datasets.items()},
        output_dir=str(output),
        seed=reserved["seed"],
        resume=own or (str(last) if last else checkpoint(reserved["resume"], output, find)),
        init_from=checkpoint(reserved["init_from"], output, find_weights),
        task=tracked.id if tracked else None,
        requeued=tracked.requeued if tracked else 0,
        run=run,
    )
    plan.write()
    if tracked is None:
        print(f"results go to {output}; to send them to a server: registry up, or set CLEARML_API_HOST and its keys", flush=True)
    return plan


def owner_of(output: Path, name: str, resume: str | None, last: Path | None) -> str:
    """The run that the folder belongs to; one that starts over removes the checkpoints in it.

    Args:
        output: the run's folder.
        name: of this run.
        resume: the argument.
        last: the checkpoint from which the run continues by default.

    Raises:
        CheckpointError: the folder belongs to another run, or a local checkpoint cannot be used.
    """
    if resume == ANEW:
        Checkpoints(output / CHECKPOINTS).clear()
    elif resume and resume.removeprefix("task:") == name:
        return name  # the task's own checkpoints, which are fetched from the server
    elif resume and Path(resume).exists():
        last = find(Path(resume))
    return owner(output, name, last)


def output_of(declaration: Declaration, arguments: Arguments, name: str) -> Path:
    """The folder for a run's files."""
    return arguments.folder or Path(arguments.reserved["output_dir"]).absolute() / declaration.name / name


def checkpoint(source: str | None, output: Path, find: Callable[[Path], Path]) -> str | None:
    """The checkpoint file that `resume` or `init_from` stands for: a file, one that `find` finds in a folder, a task's, or a file in S3."""
    if source is None or source == ANEW:
        return None
    if source.startswith(SCHEME):
        return str(stored_checkpoint(source, output / "resumed"))
    if Path(source).exists() or "/" in source or not has_server(os.environ):
        return str(find(Path(source)).absolute())
    return str(checkpoint_of(source, output / "resumed"))


def execute(declaration: Declaration, plan: Plan, argv: Sequence[str]) -> None:
    """Start this machine's ranks with the launcher's command line, and wait until they end.

    Raises:
        LaunchError: they could not be started, or failed.
    """
    with (Path(plan.output_dir) / "log.txt").open("ab") as log:
        supervise(argv, rank_environment(declaration, plan, os.environ), log, lambda: read_failure(Path(plan.output_dir)))


def rank_environment(declaration: Declaration, plan: Plan, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the ranks: the parent's, with the plan, and with the clone's code first on the path."""
    path = [str(declaration.root / "src"), *filter(None, [environment.get("PYTHONPATH")])]
    terminal = {TERMINAL: "1"} if sys.stdout.isatty() else {}
    inherited = {name: value for name, value in environment.items() if name not in PLACE_OF_A_RANK}
    return {**inherited, PLAN: str(plan.file), "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", **terminal}
