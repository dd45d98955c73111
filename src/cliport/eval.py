"""Evaluate an agent's checkpoints in the scenes of recorded demonstrations.

python -m cliport.eval eval_task=stack-block-pyramid agent=cliport mode=test n_demos=10 train_demos=100 checkpoint_type=test_best

Validate first (mode=val checkpoint_type=val_missing), then test what was best. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("cliport", "eval", __doc__)

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness import Job
from harness.errors import ParameterError
from harness.report import Report
from harness.settings import read_config

from .agents import AgentConfig, load
from .checkpoints import to_evaluate
from .config import EvalConfig
from .data.episode import Episode
from .data.reader import Mixture, open_demonstrations
from .data.source import Source
from .demos import picture_of
from .places import experiment
from .results import Outcome, add, file_name, read, summary
from .rollout import roll_out
from .sim.action import Action
from .sim.environment import Environment
from .sim.observation import HeightMap
from .tasks import make

OTHER_SCENE = 0.02
"""Share of a height map's pixels that may differ by more than OTHER_HEIGHT before a scene is called another one."""
OTHER_HEIGHT = 0.002
SAID_BY_TRAINING = ("attn_stream_fusion_type", "trans_stream_fusion_type", "lang_fusion_type", "n_rotations", "batchnorm")


class Decision(Protocol):
    """What an agent wants done."""

    def action(self, heights: np.ndarray) -> Action: ...


class Agent(Protocol):
    """What is evaluated."""

    @property
    def origin(self) -> str:
        """Where its frozen weights come from, in words."""

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Decision: ...


@dataclass(frozen=True)
class Places:
    """The folders and the file of one evaluation."""

    data: Path
    checkpoints: Path
    """A folder, or one file."""
    results: Path
    validation: Path
    """The folder with the validation's results."""
    videos: Path


def places_of(job: Job) -> Places:
    """Where settings and job say that things are. Below `model_dir` it is the original's layout."""
    settings: EvalConfig = job.settings
    model_task = settings.model_task or settings.eval_task
    parts = (settings.agent, settings.train_demos, settings.exp_folder, settings.model_dir)
    trained, evaluated = experiment(model_task, *parts), experiment(settings.eval_task, *parts)
    save_path = Path(settings.save_path or (evaluated / "checkpoints" if settings.model_dir else job.output_dir / "results"))
    videos = evaluated / "videos" if settings.model_dir else job.output_dir / "videos"
    multi = model_task.startswith("multi")
    assert job.dataset is not None  # it is needed
    return Places(
        data=job.dataset,
        checkpoints=Path(settings.model_path or job.init_from or trained / "checkpoints"),
        results=save_path / file_name(settings.eval_task, settings.agent, settings.n_demos, settings.mode, multi),
        validation=Path(settings.results_path or save_path),
        videos=Path(settings.record.save_video_path or videos),
    )


def evaluate(job: Job, make_agent: Callable[[Path], Agent] | None = None) -> dict[str, dict[str, Any]]:
    """Evaluate every checkpoint that is meant, and return the new entries of the results file.

    Args:
        job: its settings are an EvalConfig, its dataset is the folder of the demonstrations `<task>-<mode>`, and its `init_from` a
            checkpoint, where the settings name none.
        make_agent: makes the agent of a checkpoint file; by default the one that is in it.

    Raises:
        DataError: without the demonstrations whose scenes are wanted.
        CheckpointError: without a checkpoint that is meant.
    """
    places, report = places_of(job), job.report
    settings: EvalConfig = replace(job.settings, model_task=job.settings.model_task or job.settings.eval_task)
    make_agent = make_agent or loader(settings, report.text)
    known = read(places.results)
    chosen = to_evaluate(settings, places.checkpoints, places.validation, known)
    if not chosen:
        report.text(f"{places.results} has all results already; update_results=True makes them anew")
        return {}
    tasks_of = None if settings.val_on_heldout else "train"
    source = open_demonstrations(places.data, settings.eval_task, settings.mode, settings.n_demos, tasks_of=tasks_of)
    entries = {}
    with studio(settings) as (environment, film):
        trial = Trial(settings, source, environment, film, report)
        for checkpoint in chosen:
            if not settings.update_results and checkpoint.name in read(places.results):
                continue  # another evaluator has been faster
            agent = make_agent(checkpoint)
            videos = places.videos / checkpoint.stem if len(chosen) > 1 else places.videos
            outcomes = [trial.run(agent, checkpoint.stem, videos) for _ in range(settings.n_repeats)]
            entries[checkpoint.name] = summary(outcomes, agent.origin)
            tell(settings, checkpoint.name, entries[checkpoint.name], report)
            if settings.save_results:
                add(places.results, checkpoint.name, entries[checkpoint.name])
    if settings.save_results:
        report.text(f"results: {places.results}")
        report.artifact("results", places.results)
    if film:
        report.artifact("videos", places.videos)
    return entries


@contextmanager
def studio(settings: EvalConfig) -> Iterator[tuple[Environment, Any]]:
    """The simulator, and the camera where videos are wanted."""
    film = None
    if settings.record.save_video:
        from .video import Film

        film = Film(settings.record)
    with Environment(settings.assets_root or None, settings.disp, record=film and film.frame, renderer=settings.renderer) as environment:
        yield environment, film


@dataclass
class Trial:
    """The scenes that every checkpoint is tried in."""

    settings: EvalConfig
    source: Source
    environment: Environment
    film: Any
    report: Report

    @property
    def scenes(self) -> list[int]:
        """The demonstrations' numbers; of a group the tasks take turns."""
        every = self.source.in_turn() if isinstance(self.source, Mixture) else list(range(len(self.source)))
        return every[: self.settings.n_demos]

    def run(self, agent: Agent, name: str, videos: Path) -> list[Outcome]:
        """Try an agent in each scene."""
        outcomes: list[Outcome] = []
        others = 0
        for number, scene in enumerate(self.scenes):
            recorded = self.source[scene]
            with self.filmed(videos, recorded.task, number):
                episode = self.attempt(agent, recorded)
            others += differs(episode, recorded)
            outcomes.append(Outcome(episode.reward, dict(episode.steps[-1].info)))
            mean = np.mean([outcome.reward for outcome in outcomes])
            place = f"{number + 1}/{len(self.scenes)} {recorded.task} seed {recorded.seed}"
            self.report.text(f"{name} {place}: reward {episode.reward:.3f} in {episode.actions} actions, mean {mean:.3f}")
            if self.settings.debug_images and number % -(-len(self.scenes) // self.settings.debug_images) == 0:
                self.report.image(f"eval {name}", f"{number:03d}", picture_of(episode, episode.solved), step_of(name))
        if others:
            self.report.text(
                f"{others} of {len(outcomes)} scenes are not those that were recorded: another simulator made the demonstrations"
            )
        return outcomes

    def attempt(self, agent: Agent, recorded: Episode) -> Episode:
        """One episode in the recorded one's scene; the agent is shown the recorded outcome as its goal."""
        goal = recorded.steps[-1].view

        def policy(_: object, view: HeightMap, instruction: str) -> Action:
            return agent.act(view, instruction, goal).action(view.height)

        task = make(recorded.task, self.settings.mode)
        return roll_out(self.environment, task, recorded.seed, policy, self.film and self.film.say)

    def filmed(self, folder: Path, task: str, number: int) -> Any:
        """Record a video of what happens within, by the original's name for it."""
        model = f"{self.settings.model_task}-" if self.settings.model_task.startswith("multi") else ""
        return self.film.recording(folder / f"{model}{task}-{number + 1:06d}.mp4") if self.film else nullcontext()


def differs(episode: Episode, recorded: Episode) -> bool:
    """Whether an episode began in another scene than the recorded one."""
    here, there = episode.steps[0].view, recorded.steps[0].view
    if here is None or there is None:
        return False
    return bool((np.abs(here.height - there.height) > OTHER_HEIGHT).mean() > OTHER_SCENE)


def step_of(checkpoint: str) -> int:
    """The training step in a checkpoint's name, or 0."""
    match = re.search(r"steps?=(\d+)", checkpoint)
    return int(match[1]) if match else 0


def tell(settings: EvalConfig, name: str, entry: dict[str, Any], report: Report) -> None:
    """Report a checkpoint's numbers with their intervals."""
    (low, high), (least, most) = entry["mean_reward_interval"], entry["success_interval"]
    report.text(
        f"{settings.eval_task} {settings.mode}, {name}: mean reward {entry['mean_reward']:.3f} [{low:.3f}, {high:.3f}], "
        f"success {entry['success']:.3f} [{least:.3f}, {most:.3f}], 95% intervals; {entry['weights']}"
    )
    for series, value in (("mean reward", entry["mean_reward"]), ("success", entry["success"])):
        report.scalar(f"{settings.eval_task} {settings.mode}", series, value, step_of(name))


def loader(settings: EvalConfig, say: Callable[[str], Any]) -> Callable[[Path], Agent]:
    """What makes agents of checkpoint files, ours or the original's, on the GPU where there is one."""
    import torch

    from .agents.frozen import Weights

    stated = Weights(settings.model.clip_weights, settings.model.bert, settings.model.resnet_weights)
    weights = stated if stated != Weights("", "", "") else None
    device = torch.device("cuda", settings.gpu[0]) if torch.cuda.is_available() and settings.gpu else torch.device("cpu")
    return lambda path: load(path, original_config(settings, path), weights, say=say).to(device).eval()


def original_config(settings: EvalConfig, checkpoint: Path) -> AgentConfig:
    """The form of an agent in a checkpoint of the original: its name, and what the run's Hydra settings say.

    Raises:
        ParameterError: when the settings are no mapping, or `train_config` names no file.
    """
    file = Path(settings.train_config or checkpoint.parent.parent / ".hydra" / "config.yaml")
    if settings.train_config and not file.is_file():
        raise ParameterError([f"train_config={file}: there is no such file"])
    train = read_config(file).get("train") or {} if file.is_file() else {}
    return AgentConfig(agent=settings.agent, **{key: train[key] for key in SAID_BY_TRAINING if key in train})
