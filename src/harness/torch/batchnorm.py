"""Batch normalisation when a step passes the same samples through a network twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def normalises_batches(model: nn.Module) -> bool:
    """Whether a sample's result depends on the other samples in its batch, through batch statistics, given a model in training mode."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())


@contextmanager
def unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Normalise with the batch's own statistics, as in training, but do not change the running ones, which have counted this batch already.

    The running statistics are updated with momentum 0 instead of being switched off: without them a layer saves other tensors for the
    backward pass, and torch's checkpointing refuses a recomputation that saves other tensors than the first pass.
    """
    tracking = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.num_batches_tracked is not None]
    before = [(module.momentum, module.num_batches_tracked.clone()) for module in tracking]
    for module in tracking:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, (momentum, count) in zip(tracking, before, strict=True):
            module.momentum = momentum
            module.num_batches_tracked.copy_(count)


def count_once(model: nn.Module) -> None:
    """Make batch normalisation update its running statistics in the forward pass only, not when activations are recomputed."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(forward_once, module, module.forward)


def forward_once(module: nn.Module, forward: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    recomputing = torch._C._current_graph_task_id() != -1  # a backward pass is running; torch has no public way to tell
    with unchanged_statistics(module) if recomputing else nullcontext():
        return forward(rows)
