"""What is learned from: every draw a function of the seed, the step and the place in the step's batch."""

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
    """A step of a demonstration as a batch of one; `goal` adds the view to be reached."""
    assert sample.view is not None
    scale = config.scale
    pixels = [torch.tensor([position_to_pixel(pose[0])]) // scale for pose in (sample.action.pick, sample.action.place)]
    yaws = [torch.tensor([yaw_of(pose)], dtype=torch.float32) for pose in (sample.action.pick, sample.action.place)]
    reached = image_of(sample.goal, scale) if goal and sample.goal is not None else None
    return Batch(image_of(sample.view, scale), [sample.instruction], pixels[0], yaws[0], pixels[1], yaws[1], reached)


class RandomSamples(Dataset[Batch]):
    """Random steps of random demonstrations, addressed by (step, place in the batch of all ranks).

    Args:
        source: the demonstrations; of a group's, first a task is drawn, then an episode.
        config: the agent's, for the image's size.
        seed: of all draws.
        goal: whether the agent looks at the goal.
        sigma: of the rotation in degrees; None leaves samples as they are.
        shuffled: give every sample the instruction of another draw.
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
    ) -> None:
        self.source, self.config, self.seed, self.goal, self.sigma, self.shuffled = source, config, seed, goal, sigma, shuffled

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        rng = np.random.default_rng([self.seed, *place])
        item = batch_of(self.source.random(rng), self.config, self.goal)
        if self.sigma is not None:
            item = augmented(item, rng, self.sigma)
        if self.shuffled:
            item.language[0] = self.source.random(rng).instruction
        return item


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The addresses of this rank's batches. Iteration begins where the step counter stands.

    All ranks together see the same samples in a step, however many ranks there are.

    Args:
        steps: of the run.
        batch_size: of each rank.
        rank: this rank.
        step: tells how many steps are done.
    """

    def __init__(self, steps: int, batch_size: int, rank: int, step: Callable[[], int]) -> None:
        self.steps, self.batch_size, self.rank, self.step = steps, batch_size, rank, step

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.rank * self.batch_size
        for step in range(self.step(), self.steps):
            yield [(step, first + place) for place in range(self.batch_size)]


class ValidationSamples(Dataset[Batch]):
    """The samples of a validation: `repeats` steps of each of `count` demonstrations, the same ones each time.

    Args:
        source: the demonstrations; of a group's, the tasks take turns.
        config: the agent's.
        count: of demonstrations, at most.
        repeats: steps taken of each.
        goal: whether the agent looks at the goal.
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
