"""Exact gradient caching (Gao et al. 2021, arXiv:2101.06983): a contrastive batch of any size in the memory of one micro-batch.

The loss needs the embeddings of all pairs, but its gradient reaches a tower's weights through each embedding separately. So: embed all
micro-batches without a graph; compute the gradient of the loss with respect to the embeddings; embed each micro-batch again, this time
with a graph, and backpropagate its share of that gradient. The gradients equal those of the plain step up to rounding, including those
of the loss's own parameters (temperature, bias). The exception is batch normalisation, which uses the micro-batch's statistics.

The towers take turns, so that the activations of only one tower are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from harness.torch.batchnorm import unchanged_statistics
from harness.world import world_size

Item = TypeVar("Item")


def cached_loss(
    model: nn.Module,
    towers: Sequence[Callable[[Item], Tensor]],
    micro_batches: Sequence[Item],
    loss: Callable[..., Tensor],
    scale: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Tensor:
    """The loss over all micro-batches together. After calling its `backward`, every parameter's gradient has been added to `.grad`.

    This function already runs the backward passes of all micro-batches except one tower's last. That one is left to the caller's
    `backward`, so that what is tied to a backward pass (exchanging gradients between ranks, a loss scaler) happens exactly once.
    Therefore clear the gradients before calling this, not after. Both passes over a micro-batch draw the same random numbers, and batch
    normalisation counts only the first.

    Args:
        model: holds every parameter that the towers and the loss use.
        towers: each maps a micro-batch to one kind of embeddings (b, ...).
        micro_batches: at least one.
        loss: maps the embeddings of all micro-batches, one (B, ...) per tower, to a scalar.
        scale: multiplies a loss before its backward pass, such as torch.amp.GradScaler.scale.
    """
    if len(micro_batches) == 1:
        return loss(*(tower(micro_batches[0]) for tower in towers))
    passes, embedded = first_passes(towers, micro_batches)
    after = random_state()
    value, gradients, own = gradients_of(model, loss, [embedded[number :: len(towers)] for number in range(len(towers))], scale)

    def again(number: int) -> Tensor:
        tower, micro_batch, state = passes[number]
        set_random_state(state)  # the same dropout as in the first pass, or the gradient would be another function's
        with unchanged_statistics(model):
            return product([tower(micro_batch)], [gradients[number]])

    *most, last = passes
    for number in most:
        send_backward(scale(again(number)))
    share = again(last)
    set_random_state(after)
    return ValueWithGradient.apply(value, share + product(*own) + touched(model))


Pass = tuple[Callable[[Item], Tensor], Item, "RandomState"]


def first_passes(towers: Sequence[Callable[[Item], Tensor]], micro_batches: Sequence[Item]) -> tuple[dict[int, Pass[Item]], list[Tensor]]:
    """The passes that must be repeated with a graph, by number, and all embeddings, in the order of embedding.

    The first micro-batch is embedded with a graph, which shows whether a tower is trained at all: a frozen tower needs no second pass.
    """
    passes: dict[int, Pass[Item]] = {}
    embedded: list[Tensor] = []
    learns = [True] * len(towers)
    for micro_batch in micro_batches:
        for which, tower in enumerate(towers):
            state = random_state()
            with torch.set_grad_enabled(len(embedded) < len(towers)):
                rows = tower(micro_batch)
            if len(embedded) < len(towers):
                learns[which] = rows.requires_grad
            if learns[which]:
                passes[len(embedded)] = (tower, micro_batch, state)
            embedded.append(rows.detach())
            del rows  # and its graph
    torch.clear_autocast_cache()  # it holds weights cast without a graph, through which the second pass would get no gradient
    return passes, embedded


def gradients_of(
    model: nn.Module, loss: Callable[..., Tensor], columns: Sequence[Sequence[Tensor]], scale: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[Tensor], tuple[list[Tensor], list[Tensor]]]:
    """The loss; its gradient with respect to each embedding, in the order of embedding; and the loss's own parameters with their gradients.

    `columns` are each tower's embeddings by micro-batch.
    """
    leaves = [at_least_fp32(torch.cat(list(column))).requires_grad_() for column in columns]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    value = loss(*leaves)
    factor = scale(torch.ones((), dtype=value.dtype, device=value.device))  # fp16 underflows inside the loss too
    with torch.autocast(value.device.type, enabled=False):
        found = torch.autograd.grad(scale(value), [*leaves, *parameters], allow_unused=True)
    shares = [
        (torch.zeros_like(leaf) if gradient is None else gradient / factor).split([len(part) for part in column])
        for leaf, gradient, column in zip(leaves, found[: len(leaves)], columns, strict=True)
    ]
    used = [(p, gradient / factor) for p, gradient in zip(parameters, found[len(leaves) :], strict=True) if gradient is not None]
    return value.detach(), [share for row in zip(*shares, strict=True) for share in row], ([p for p, _ in used], [g for _, g in used])


def touched(model: nn.Module) -> Tensor | float:
    """Zero, with a zero gradient for every parameter that has one already.

    DDP exchanges a parameter's gradient only when a backward pass reaches it, and the last pass alone does not reach all of them.
    """
    if world_size() == 1:
        return 0.0
    return sum((p.flatten()[:0].sum().double() for p in model.parameters() if p.grad is not None), start=0.0)


def product(tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """A scalar with the given gradient with respect to each tensor."""
    with torch.autocast(tensors[0].device.type if tensors else "cpu", enabled=False):
        return sum(
            ((tensor.to(gradient.dtype) * gradient).sum() for tensor, gradient in zip(tensors, gradients, strict=True)),
            start=torch.zeros((), device=tensors[0].device if tensors else None),
        )


def send_backward(scalar: Tensor) -> None:
    with torch.autocast(scalar.device.type, enabled=False):
        scalar.backward()


def at_least_fp32(tensor: Tensor) -> Tensor:
    """Half precision converted to single: the gradient of a mean over many pairs would underflow in half precision."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class ValueWithGradient(torch.autograd.Function):
    """One scalar's value with another's gradient."""

    @staticmethod
    def forward(_: Any, value: Tensor, other: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


RandomState = tuple[Tensor, Tensor | None]


def random_state() -> RandomState:
    """The state of torch's random number generators, on the CPU and on the current GPU."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def set_random_state(state: RandomState) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


class CachedStep(lightning.LightningModule):
    """A module whose training step can compute its loss by gradient caching, with automatic optimisation, any precision and DDP."""

    caches = False
    """Whether training steps use it. They then clear the gradients themselves, because gradients accumulate before `backward` is called."""

    def cached(self, towers: Sequence[Callable[[Item], Tensor]], micro_batches: Sequence[Item], loss: Callable[..., Tensor]) -> Tensor:
        """The loss for `training_step` to return; see `cached_loss`."""
        self.zero_grad(set_to_none=True)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return cached_loss(self, towers, micro_batches, loss, scaler.scale if scaler is not None else lambda tensor: tensor)

    def optimizer_zero_grad(self, *arguments: Any, **options: Any) -> None:
        if not self.caches:
            super().optimizer_zero_grad(*arguments, **options)
