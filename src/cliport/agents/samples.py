"""Training and validation samples. A training sample depends only on the seed, the step and the position in the step's batch.

Hence a resumed run, and one with another number of loader processes or ranks, sees the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from ..data.episode_source import EpisodeSource, Sample
from ..data.reader import Mixture
from ..sim.pixels import position_to_pixel
from ..sim.poses import yaw_of
from .augment import augmented
from .batch import Batch, image_of
from .config import AgentConfig


def batch_of(sample: Sample, config: AgentConfig, goal: bool) -> Batch:
    """A step of a demonstration as a batch of one; `goal` adds the goal image."""
    assert sample.view is not None
    scale = config.scale
    pixels = [torch.tensor([position_to_pixel(pose[0])]) // scale for pose in (sample.action.pick, sample.action.place)]
    yaws = [torch.tensor([yaw_of(pose)], dtype=torch.float32) for pose in (sample.action.pick, sample.action.place)]
    reached = image_of(sample.goal, scale) if goal and sample.goal is not None else None
    return Batch(image_of(sample.view, scale), [sample.instruction], pixels[0], yaws[0], pixels[1], yaws[1], reached)


class RandomSamples(Dataset[Batch]):
    """Random steps of random demonstrations, addressed by (step, position in the batch of all ranks).

    Args:
        source: the demonstrations; from a group, first a task is drawn, then an episode.
        config: the agent's, which determines the image size.
        seed: for all draws.
        goal: whether the agent uses a goal image.
        sigma: standard deviation of the rotation in degrees; None disables augmentation.
        shuffled: give every sample the instruction of another draw.
        resample: how augmentation samples images, `nearest` or `bilinear`.
    """

    def __init__(
        self,
        source: EpisodeSource,
        config: AgentConfig,
        *,
        seed: int,
        goal: bool = False,
        sigma: float | None = None,
        shuffled: bool = False,
        resample: str = "nearest",
    ) -> None:
        self.source, self.config, self.seed, self.goal = source, config, seed, goal
        self.sigma, self.shuffled, self.resample = sigma, shuffled, resample

    def __getitem__(self, address: tuple[int, int]) -> Batch:
        rng = np.random.default_rng([self.seed, *address])
        item = batch_of(self.source.random(rng), self.config, self.goal)
        if self.sigma is not None:
            item = augmented(item, rng, self.sigma, self.config.geometry, self.resample)
        if self.shuffled:
            item.language[0] = self.source.random(rng).instruction
        return item


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The addresses of this rank's batches, from the current step on.

    With the same global batch size, all ranks together see the same samples in a step, however many ranks there are.

    Args:
        steps: length of the run.
        batch_size: samples per rank.
        rank: this rank.
        step: returns the number of completed steps.
    """

    def __init__(self, steps: int, batch_size: int, rank: int, step: Callable[[], int]) -> None:
        self.steps, self.batch_size, self.rank, self.step = steps, batch_size, rank, step

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.rank * self.batch_size
        for step in range(self.step(), self.steps):
            yield [(step, first + position) for position in range(self.batch_size)]


class ValidationSamples(Dataset[Batch]):
    """The validation samples: `repeats` steps of each of `count` demonstrations, the same ones each time.

    Args:
        source: the demonstrations; the tasks of a group take turns.
        config: the agent's.
        count: largest number of demonstrations.
        repeats: steps taken from each.
        goal: whether the agent uses a goal image.
    """

    def __init__(self, source: EpisodeSource, config: AgentConfig, *, count: int, repeats: int = 1, goal: bool = False) -> None:
        self.source, self.config, self.repeats, self.goal = source, config, repeats, goal
        self.episodes = (source.in_turn() if isinstance(source, Mixture) else list(range(len(source))))[:count]

    def __len__(self) -> int:
        return len(self.episodes) * self.repeats

    def __getitem__(self, index: int) -> Batch:
        number, repeat = divmod(index, self.repeats)
        episode = self.episodes[number]
        order = np.random.default_rng([episode]).permutation(self.source.lengths[episode])
        return batch_of(self.source.sample(episode, int(order[repeat % len(order)])), self.config, self.goal)
