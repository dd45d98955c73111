"""Evaluate an agent's checkpoints in the scenes of recorded demonstrations.

python -m cliport.eval eval_task=stack-block-pyramid agent=cliport mode=test n_demos=10 train_demos=100 checkpoint_type=test_best

First validate all checkpoints (mode=val checkpoint_type=val_missing), then test the best one. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a mistake in the command line is reported at once
    from harness.entry import enter

    enter("cliport", "eval", __doc__)

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness import Job
from harness.errors import ParameterError
from harness.report import Report
from harness.settings import read_config

from .agents import AgentConfig, load
from .checkpoint_files import to_evaluate
from .config import EvalConfig, PredictConfig
from .data.episode import Episode
from .data.episode_source import EpisodeSource
from .data.reader import Mixture, check_objects, check_rules, open_demonstrations
from .demos import picture_of
from .failures import Watched
from .layout import CHECKPOINTS, experiment
from .results import EpisodeResult, add, file_name, info_of, read, summary
from .rollout import roll_out
from .sim.action import Action
from .sim.environment import Environment
from .sim.observation import HeightMap
from .tasks import check_assets, groups, make, say_differences

if TYPE_CHECKING:
    from .video import VideoWriter

MAX_DIFFERENT_SHARE = 0.02
"""Share of a height map's pixels that may differ by more than HEIGHT_TOLERANCE before two scenes count as different."""
HEIGHT_TOLERANCE = 0.002
"""Meters."""
FROM_TRAINING = ("attn_stream_fusion_type", "trans_stream_fusion_type", "lang_fusion_type", "n_rotations", "batchnorm")
"""Options of the original's training that decide the form of an agent."""


class Decision(Protocol):
    """What an agent wants to do."""

    def action(self, heights: np.ndarray) -> Action: ...


class Agent(Protocol):
    """What is evaluated."""

    @property
    def origin(self) -> str:
        """Where its frozen weights come from, in words."""

    @property
    def cells(self) -> str:
        """The geometry of the height maps that it expects: see `cliport.sim.fusion`."""

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Decision: ...


@dataclass(frozen=True)
class EvalPaths:
    """The folders and the results file of one evaluation."""

    data: Path
    checkpoints: Path
    """A folder or one file."""
    results: Path
    validation: Path
    """The folder of the validation results."""
    videos: Path


def paths_of(job: Job) -> EvalPaths:
    """The paths that settings and job imply; with `model_dir` they follow the original's layout."""
    settings: EvalConfig = job.settings
    model_task = settings.model_task or settings.eval_task
    folder = Path(settings.model_dir) / settings.exp_folder
    trained, evaluated = (experiment(folder, task, settings.agent, settings.train_demos) for task in (model_task, settings.eval_task))
    save_path = Path(settings.save_path or (evaluated / CHECKPOINTS if settings.model_dir else job.output_dir / "results"))
    videos = (evaluated if settings.model_dir else job.output_dir) / "videos"
    multi = model_task.startswith("multi")
    assert job.dataset is not None  # workload.yaml requires it
    return EvalPaths(
        data=job.dataset,
        checkpoints=Path(settings.model_path or job.init_from or trained / CHECKPOINTS),
        results=save_path / file_name(settings.eval_task, settings.agent, settings.n_demos, settings.mode, multi),
        validation=Path(settings.results_path or save_path),
        videos=Path(settings.record.save_video_path or videos),
    )


def evaluate(job: Job, make_agent: Callable[[Path], Agent] | None = None) -> dict[str, dict[str, Any]]:
    """Evaluate every selected checkpoint, and return the new entries of the results file.

    Args:
        job: its settings are an EvalConfig, its dataset is the folder of the demonstrations `<task>-<mode>`, and its `init_from` is
            the checkpoint if the settings name none.
        make_agent: makes the agent from a checkpoint file; by default the one stored in it.

    Raises:
        AssetError: when scanned objects are missing or damaged.
        DataError: when the demonstrations whose scenes are needed are missing, were made under other rules or with other objects.
        CheckpointError: when there is no such checkpoint.
    """
    paths, report = paths_of(job), job.report
    settings: EvalConfig = replace(job.settings, model_task=job.settings.model_task or job.settings.eval_task)
    shown = groups(settings.mode if settings.val_on_heldout else "train").get(settings.eval_task, [settings.eval_task])
    check_assets(settings.assets, shown, settings.mode)
    make_agent = make_agent or loader(settings, report.text)
    known = read(paths.results)
    chosen = to_evaluate(settings, paths.checkpoints, paths.validation, known)
    if not chosen:
        report.text(f"{paths.results} already has all results; update_results=True evaluates again")
        return {}
    tasks_of = None if settings.val_on_heldout else "train"
    source = open_demonstrations(paths.data, settings.eval_task, settings.mode, settings.n_demos, tasks_of=tasks_of)
    check_rules(source)
    check_objects(source, lambda task: make(task, settings.mode, settings.assets).objects)
    for name in shown:
        say_differences(make(name, settings.mode, settings.assets), report.text)
    entries = {}
    with simulator(settings) as (environment, video):
        evaluation = Evaluation(settings, source, environment, video, report)
        for checkpoint in chosen:
            if not settings.update_results and checkpoint.name in read(paths.results):
                continue  # another evaluator was faster
            agent = make_agent(checkpoint)
            videos = paths.videos / checkpoint.stem if len(chosen) > 1 else paths.videos
            repeats = [evaluation.run(agent, checkpoint.stem, videos) for _ in range(settings.n_repeats)]
            entries[checkpoint.name] = summary(repeats, agent.origin)
            tell(settings, checkpoint.name, entries[checkpoint.name], report)
            if settings.save_results:
                add(paths.results, checkpoint.name, entries[checkpoint.name])
    if settings.save_results:
        report.text(f"results: {paths.results}")
        report.artifact("results", paths.results)
    if video:
        report.artifact("videos", paths.videos)
    return entries


@contextmanager
def simulator(settings: EvalConfig) -> Iterator[tuple[Environment, VideoWriter | None]]:
    """The simulator, and a video writer if videos are requested."""
    video = None
    if settings.record.save_video:
        from .video import VideoWriter

        video = VideoWriter(settings.record)
    record = video.frame if video else None
    with Environment(settings.assets_root or None, settings.disp, record=record, renderer=settings.renderer) as environment:
        yield environment, video


@dataclass
class Evaluation:
    """The scenes in which each checkpoint is tried."""

    settings: EvalConfig
    source: EpisodeSource
    environment: Environment
    video: VideoWriter | None
    report: Report

    @property
    def scenes(self) -> list[int]:
        """The numbers of the demonstrations; the tasks of a group take turns."""
        every = self.source.in_turn() if isinstance(self.source, Mixture) else list(range(len(self.source)))
        return every[: self.settings.n_demos]

    def run(self, agent: Agent, name: str, videos: Path) -> list[EpisodeResult]:
        """Try an agent in each scene."""
        results: list[EpisodeResult] = []
        watched, failures = Watched(agent), 0
        different, comparable = 0, agent.cells == self.source.geometry
        if not comparable:
            self.report.text(
                f"{name}: the agent sees height maps of {agent.cells} geometry; the recorded ones have {self.source.geometry} geometry, so "
                "scenes are not compared with them, and a recorded goal is half a pixel off"
            )
        for number, scene in enumerate(self.scenes):
            recorded = self.source[scene]
            watched.forget()
            with self.filmed(videos, recorded.task, number):
                episode = self.play(watched, recorded)
            different += comparable and differs(episode, recorded)
            last = episode.steps[-1]
            results.append(EpisodeResult(episode.reward, info_of(self.environment.poses(), last.instruction), last.info))
            mean = np.mean([result.reward for result in results])
            progress = f"{number + 1}/{len(self.scenes)} {recorded.task} seed {recorded.seed}"
            self.report.text(f"{name} {progress}: reward {episode.reward:.3f} in {episode.actions} actions, mean {mean:.3f}")
            if self.settings.debug_images and number % -(-len(self.scenes) // self.settings.debug_images) == 0:
                self.report.image(f"eval {name}", f"{number:03d}", picture_of(episode, episode.solved), step_of(name))
            if not episode.solved and failures < self.settings.debug_images and (picture := watched.picture()):
                failures += 1
                self.report.image(f"failures {name}", f"{number:03d}", picture, step_of(name))
        if different:
            self.report.text(
                f"{different} of {len(results)} scenes differ from the recorded ones: the demonstrations come from another simulator"
            )
        return results

    def play(self, agent: Agent, recorded: Episode) -> Episode:
        """One episode in the recorded one's scene; the agent's goal image is the recorded outcome."""
        goal = recorded.steps[-1].view

        def policy(_: object, view: HeightMap, instruction: str) -> Action:
            return agent.act(view, instruction, goal).action(view.height)

        task = make(recorded.task, self.settings.mode, self.settings.assets)
        say = self.video.say if self.video else None
        return roll_out(self.environment, task, recorded.seed, policy, say, agent.cells)

    def filmed(self, folder: Path, task: str, number: int) -> AbstractContextManager[None]:
        """Record a video within the block, if requested, under the original's name."""
        model = f"{self.settings.model_task}-" if self.settings.model_task.startswith("multi") else ""
        return self.video.recording(folder / f"{model}{task}-{number + 1:06d}.mp4") if self.video else nullcontext()


def differs(episode: Episode, recorded: Episode) -> bool:
    """Whether an episode started in a different scene than the recorded one."""
    here, there = episode.steps[0].view, recorded.steps[0].view
    if here is None or there is None:
        return False
    return bool((np.abs(here.height - there.height) > HEIGHT_TOLERANCE).mean() > MAX_DIFFERENT_SHARE)


def step_of(checkpoint: str) -> int:
    """The training step in a checkpoint's name, or 0."""
    match = re.search(r"steps?=(\d+)", checkpoint)
    return int(match[1]) if match else 0


def tell(settings: EvalConfig, name: str, entry: dict[str, Any], report: Report) -> None:
    """Report a checkpoint's numbers with their confidence intervals."""
    (low, high), (least, most) = entry["mean_reward_interval"], entry["success_interval"]
    report.text(
        f"{settings.eval_task} {settings.mode}, {name}: mean reward {entry['mean_reward']:.3f} [{low:.3f}, {high:.3f}], "
        f"success {entry['success']:.3f} [{least:.3f}, {most:.3f}], 95% intervals; {entry['weights']}"
    )
    for series, value in (("mean reward", entry["mean_reward"]), ("success", entry["success"])):
        report.scalar(f"{settings.eval_task} {settings.mode}", series, value, step_of(name))


def loader(settings: EvalConfig | PredictConfig, say: Callable[[str], Any]) -> Callable[[Path], Agent]:
    """A function that loads the agent of a checkpoint file, ours or the original's, onto the GPU if there is one."""
    import torch

    from .agents.frozen import Weights

    stated = Weights(settings.model.clip_weights, settings.model.bert, settings.model.resnet_weights)
    weights = stated if stated != Weights("", "", "") else None
    device = torch.device("cuda", settings.gpu[0]) if settings.gpu and torch.cuda.is_available() else torch.device("cpu")
    return lambda path: load(path, original_config(settings, path), weights, say=say).to(device).eval()


def original_config(settings: EvalConfig | PredictConfig, checkpoint: Path) -> AgentConfig:
    """The form of an agent in one of the original's checkpoints: its name, and what the training's Hydra settings say.

    Raises:
        ParameterError: when the settings are not a mapping, or `train_config` does not exist.
    """
    file = Path(settings.train_config or checkpoint.parent.parent / ".hydra" / "config.yaml")
    if settings.train_config and not file.is_file():
        raise ParameterError([f"train_config={file}: no such file"])
    train = read_config(file).get("train") or {} if file.is_file() else {}
    return AgentConfig(agent=settings.agent, **{key: train[key] for key in FROM_TRAINING if key in train})
