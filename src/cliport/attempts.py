"""An oracle's attempts at the scenes of one seed after the other, in this process or in several."""

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
from typing import Any

from harness.errors import DataError
from harness.guard import die_with_parent

from .config import DemosConfig, RecordConfig
from .data.codec import encode
from .data.episode import is_solved
from .tasks import TaskError, make

FIRST_SEED = {"train": 0, "val": 1, "test": 10001}


@dataclass(frozen=True)
class Attempt:
    """What came of one seed."""

    seed: int
    reward: float = 0.0
    actions: int = 0
    content: bytes = b""
    """The encoded episode, where it is to be kept."""
    problem: str = ""
    """Why there is no episode."""

    @property
    def solved(self) -> bool:
        return is_solved(self.reward)


def seeds_after(last: int | None, mode: str) -> Iterator[int]:
    """The seeds of a mode, from its first one or after `last`.

    Raises:
        DataError: when validation would run into the seeds of testing.
    """
    for seed in itertools.count(FIRST_SEED[mode] if last is None else last + 2, 2):
        if mode == "val" and seed >= FIRST_SEED["test"]:
            raise DataError(f"mode=val has come to seed {seed}, where the seeds of mode=test begin; take a smaller n")
        yield seed


def attempts(settings: DemosConfig, seeds: Iterator[int], videos: Path, wanted: int) -> Iterator[Attempt]:
    """Try seeds until `wanted` are solved; the attempts come in the order of the seeds, however many processes make them.

    Raises:
        DataError: after `settings.attempts` seeds in a row without a success, or when a process was killed.
    """
    workers = settings.workers or len(os.sched_getaffinity(0))
    ahead = 2 * workers if workers > 1 else 1
    solved = failures = 0
    pending: deque[Future[Attempt]] = deque()
    with executor(workers) as pool:
        try:
            while solved < wanted:
                while len(pending) < min(wanted - solved, ahead):
                    pending.append(pool.submit(attempt, settings, next(seeds), videos))
                result = pending.popleft().result()
                solved, failures = solved + result.solved, 0 if result.solved else failures + 1
                yield result
                if failures == settings.attempts:
                    raise DataError(
                        f"the oracle of {settings.task} solved none of {failures} scenes in a row, the last of seed {result.seed}"
                    )
        except BrokenProcessPool as error:
            raise DataError("a worker process was killed, perhaps for memory; demonstrations so far are kept") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def attempt(settings: DemosConfig, seed: int, videos: Path) -> Attempt:
    """Let the oracle try one seed's scene."""
    from .rollout import oracle, roll_out

    record = settings.record
    film = film_of(record.fps, record.video_height, record.video_width, record.add_text) if record.save_video else None
    environment = stage(settings.assets_root, settings.disp, settings.renderer, film)
    task = make(settings.task, settings.mode)
    try:
        with film.recording(video_of(videos, seed)) if film else nullcontext():
            episode = roll_out(environment, task, seed, oracle(environment, task), film and film.say)
    except TaskError as error:
        return Attempt(seed, problem=str(error))
    if film and not episode.solved:
        video_of(videos, seed).unlink()
    return Attempt(seed, episode.reward, episode.actions, encode(episode) if episode.solved and settings.save_data else b"")


def video_of(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.mp4"


@lru_cache(maxsize=1)
def stage(assets: str, disp: bool, renderer: str, film: Any) -> Any:
    """This process's simulator."""
    from .sim.environment import Environment

    return Environment(assets or None, disp, record=film and film.frame, renderer=renderer)


@lru_cache(maxsize=1)
def film_of(fps: int, height: int, width: int, add_text: bool) -> Any:
    """This process's camera for videos."""
    from .video import Film

    return Film(RecordConfig(True, "", add_text, fps, height, width))


class InProcess(Executor):
    """Runs what is submitted at once, here."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **keywords))
        return done


def executor(workers: int) -> Executor:
    """Fresh processes that end with this one, or this process itself."""
    if workers == 1:
        return InProcess()
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=follow_parent)


def follow_parent() -> None:
    """In a worker: end when the parent ends, also by kill -9, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
