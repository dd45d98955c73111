"""Ask a trained agent where to pick and where to place, in pictures of one's own.

python -m cliport.predict folder=SCENES init_from=CHECKPOINT

A scene is a folder with color.png, depth.png (16 bits, millimetres) or depth.npy (metres), camera.json and instruction.txt; SCENES is one,
or a folder of them. The answers are in answers/ of the run's folder: answers.json, and a picture of each. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a mistake in the command line is reported at once
    from harness.entry import enter

    enter("cliport", "predict", __doc__)

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Job
from harness.errors import CheckpointError, DataError, HarnessError, ParameterError
from harness.files import write_json

from .config import FrozenConfig, PredictConfig, WorkspaceConfig
from .own.camera import PinholeCamera
from .own.predictor import Predictor, lacking
from .own.scene import GOAL, Request, requests_in, sight
from .own.view import View
from .own.workspace import Workspace

if TYPE_CHECKING:
    from .agents.agent import Agent

__all__ = ["PinholeCamera", "Predictor", "View", "Workspace", "load", "predict"]

ANSWERS = "answers"
"""The folder of the answers, and the name of their file."""


def load(
    checkpoint: Path | str,
    workspace: Workspace | None = None,
    *,
    agent: str = "cliport",
    clip_weights: str = "",
    bert: str = "",
    resnet_weights: str = "",
    say: Callable[[str], object] = print,
) -> Predictor:
    """The agent in a checkpoint, on the GPU if there is one.

    Args:
        checkpoint: a file that `cliport.train` wrote, or the original.
        workspace: what the agent sees; default: the simulator's.
        agent: the agent's name, which the original's checkpoints do not state.
        clip_weights: where the frozen weights are, if no longer where the training found them; so `bert` and `resnet_weights`.
        say: receives lines about random weights and unmatched keys.

    Raises:
        CheckpointError: for a file that contains no agent, saying what it contains.
    """
    settings = PredictConfig(agent=agent, model=FrozenConfig(clip_weights, bert, resnet_weights))
    return Predictor(agent_in(settings, Path(checkpoint), say), workspace or Workspace())


def agent_in(settings: PredictConfig, checkpoint: Path, say: Callable[[str], Any]) -> Agent:
    from .eval import loader

    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: there is no such checkpoint file")
    agent: Any = loader(settings, say)(checkpoint)
    return agent  # type: ignore[no-any-return]


def predict(job: Job) -> list[dict[str, Any]]:
    """Answer every request in the settings' folder, or in the job's dataset, and return what is written to answers.json.

    All scenes are checked before the first is answered.

    Raises:
        HarnessError: for unusable settings, a checkpoint without an agent, or scenes with mistakes, naming all of them.
    """
    settings: PredictConfig = job.settings
    workspace, requests = asked(settings, job.dataset)
    if job.init_from is None:
        raise ParameterError(["init_from is required: a checkpoint, a run's folder or a task"])
    predictor = Predictor(agent_in(settings, job.init_from, job.report.text), workspace)
    if problems := list(dict.fromkeys(problems_of(requests, predictor))):
        raise DataError("\n".join(problems))
    job.report.text(f"{job.init_from}: {predictor.agent.config.agent}; {predictor.agent.origin}; {len(requests)} requests")
    folder = job.output_dir / ANSWERS
    folder.mkdir(parents=True, exist_ok=True)
    answers = []
    shown = -(-len(requests) // settings.debug_images) if settings.debug_images else 0
    for number, request in enumerate(requests):
        seen, goal = sights(request, predictor)
        answer = predictor.act(seen.map, request.instruction, goal.map if goal else None)
        picture, file = answer.picture(), f"{request.name}.png"
        picture.save(folder / file)
        answers.append({"scene": request.scene.resolve().name, **answer.plain(seen.cameras), "picture": file})
        job.report.text(f"{request.name}: {told(answers[-1])}")
        if shown and number % shown == 0:
            job.report.image(ANSWERS, request.name, picture, 0)
    about = {"checkpoint": str(job.init_from), "agent": predictor.agent.config.agent, "weights": predictor.agent.origin}
    where = {"bounds": list(workspace.bounds), "pixel": workspace.pixel}
    write_json(folder / f"{ANSWERS}.json", {**about, "workspace": where, "answers": answers})
    job.report.text(f"answers: {folder}")
    job.report.artifact(ANSWERS, folder)
    return answers


def asked(settings: PredictConfig, dataset: Path | None) -> tuple[Workspace, list[Request]]:
    """The workspace, and what is asked.

    Raises:
        ParameterError: naming what is wrong with the settings.
    """
    problems = []
    try:
        workspace = workspace_of(settings.workspace)
    except ParameterError as error:
        problems += error.problems
    try:
        requests = requests_in(Path(settings.folder) if settings.folder else dataset or Path(), settings.instruction)
    except DataError as error:
        problems.append(str(error))
    if problems:
        raise ParameterError(problems)
    return workspace, requests


def workspace_of(settings: WorkspaceConfig) -> Workspace:
    """The workspace that the settings describe.

    Raises:
        ParameterError: as `Workspace`, by the settings' names.
    """
    try:
        return Workspace(tuple(map(float, settings.bounds)), float(settings.pixel))
    except ParameterError as error:
        raise ParameterError([f"workspace.{problem}" for problem in error.problems]) from error


def sights(request: Request, predictor: Predictor) -> tuple[Any, Any]:
    """What is seen in a request's scene, and the goal for agents that are shown one."""
    cells = predictor.agent.cells
    goal = sight(request.scene, predictor.workspace, cells, GOAL) if predictor.agent.design.goal else None
    return sight(request.scene, predictor.workspace, cells), goal


def problems_of(requests: list[Request], predictor: Predictor) -> Iterator[str]:
    """All that is wrong with any scene."""
    for request in requests:
        goal: Any = None
        try:
            _, goal = sights(request, predictor)
        except HarnessError as error:
            yield from str(error).splitlines()
            continue
        yield from (f"{request.scene}: {problem} (instruction.txt)" for problem in lacking(predictor.agent, request.instruction, goal))


def told(answer: dict[str, Any]) -> str:
    """An answer in a line."""
    pick, place = (
        f"{name} ({', '.join(f'{number:.3f}' for number in answer[name]['position'])}) m, {answer[name]['confidence']:.0%} sure"
        for name in ("pick", "place")
    )
    doubts = "".join(f"; WARNING: {doubt}" for doubt in answer["doubts"])
    return f"{answer['instruction']!r}: {pick}; {place}, yaw {answer['place']['yaw']:.2f} rad{doubts}"
