"""Batch normalisation where a step runs the same samples through a network twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def normalises_batches(model: nn.Module) -> bool:
    """Whether training makes one sample's result depend on the others of its batch, through batch statistics."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


@contextmanager
def unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Normalise with the batch's own statistics, as in training, but leave the running ones as they are: they have seen this batch."""
    tracking = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


def count_once(model: nn.Module) -> None:
    """Let batch normalisation update its running statistics in the forward pass, and not again when activations are recomputed."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(forward_once, module, module.forward)  # type: ignore[method-assign]


def forward_once(module: nn.Module, forward: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    recomputing = torch._C._current_graph_task_id() != -1  # a backward pass is under way
    with unchanged_statistics(module) if recomputing else nullcontext():
        return forward(rows)
