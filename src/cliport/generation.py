"""Generating demonstrations: the oracle plays the scene of one seed after another, in this process or in several."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.guard import die_with_parent

from .config import DemosConfig, RecordConfig
from .data.codec import encode
from .errors import TaskError
from .scoring import is_solved
from .tasks import FIRST_SEED, make

if TYPE_CHECKING:
    from .sim.environment import Environment
    from .video import VideoWriter


@dataclass(frozen=True)
class Attempt:
    """The result of one seed."""

    seed: int
    reward: float = 0.0
    actions: int = 0
    content: bytes = b""
    """The encoded episode; empty if it is not kept."""
    problem: str = ""
    """Why there is no episode."""

    @property
    def solved(self) -> bool:
        return is_solved(self.reward)


def seeds_after(last: int | None, mode: str) -> Iterator[int]:
    """The seeds of a mode, from its first one or after `last`.

    Raises:
        DataError: when the validation seeds reach the test seeds.
    """
    for seed in itertools.count(FIRST_SEED[mode] if last is None else last + 2, 2):
        if mode == "val" and seed >= FIRST_SEED["test"]:
            raise DataError(f"mode=val has reached seed {seed}, where the seeds of mode=test begin; use a smaller n")
        yield seed


def play_seeds(settings: DemosConfig, seeds: Iterator[int], videos: Path, wanted: int) -> Iterator[Attempt]:
    """Try seeds until `wanted` are solved. Attempts come in the order of the seeds, however many processes work on them.

    Raises:
        DataError: after `settings.attempts` consecutive failures, or when a process was killed.
    """
    workers = settings.workers or len(os.sched_getaffinity(0))
    ahead = 2 * workers if workers > 1 else 1  # one more per worker keeps all busy while the oldest attempt is awaited
    solved = failures = 0
    pending: deque[Future[Attempt]] = deque()
    with executor(workers) as pool:
        try:
            while solved < wanted:
                # Never more than are still missing: a surplus attempt would be wasted and leave its video behind.
                while len(pending) < min(wanted - solved, ahead):
                    pending.append(pool.submit(play_seed, settings, next(seeds), videos))
                result = pending.popleft().result()
                solved, failures = solved + result.solved, 0 if result.solved else failures + 1
                yield result
                if failures == settings.attempts:
                    raise DataError(
                        f"the oracle of {settings.task} solved none of {failures} consecutive scenes; the last seed was {result.seed}"
                    )
        except BrokenProcessPool as error:
            raise DataError("a worker process was killed, possibly for lack of memory; the demonstrations made so far are kept") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def play_seed(settings: DemosConfig, seed: int, videos: Path) -> Attempt:
    """Let the oracle try one seed's scene."""
    from .rollout import oracle, roll_out

    record = settings.record
    video = video_writer(record.fps, record.video_height, record.video_width, record.add_text) if record.save_video else None
    environment = simulator(settings.assets_root, settings.disp, settings.renderer, video)
    task = make(settings.task, settings.mode, settings.assets)
    try:
        with video.recording(video_file(videos, seed)) if video else nullcontext():
            episode = roll_out(environment, task, seed, oracle(environment, task), video.say if video else None, settings.geometry)
    except TaskError as error:
        return Attempt(seed, problem=str(error))
    if video and not episode.solved:
        video_file(videos, seed).unlink()
    return Attempt(seed, episode.reward, episode.actions, encode(episode) if episode.solved and settings.save_data else b"")


def video_file(folder: Path, seed: int) -> Path:
    """Where a seed's video is until its episode has a number."""
    return folder / f"seed-{seed}.mp4"


@lru_cache(maxsize=1)
def simulator(assets: str, disp: bool, renderer: str, video: VideoWriter | None) -> Environment:
    """This process's simulator."""
    from .sim.environment import Environment

    return Environment(assets or None, disp, record=video.frame if video else None, renderer=renderer)


@lru_cache(maxsize=1)
def video_writer(fps: int, height: int, width: int, add_text: bool) -> VideoWriter:
    """This process's video writer. Takes plain values, because settings cannot be hashed."""
    from .video import VideoWriter

    return VideoWriter(RecordConfig(True, "", add_text, fps, height, width))


class InProcess(Executor):
    """Runs each task immediately, in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **keywords))
        return done


def executor(workers: int) -> Executor:
    """New processes that end with this one, or this process itself."""
    if workers == 1:
        return InProcess()
    # Spawned, not forked: a forked process would share PyBullet's and OpenGL's state.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=follow_parent)


def follow_parent() -> None:
    """In a worker: end when the parent ends, even by kill -9, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
