"""Exact gradient caching (Gao et al. 2021, arXiv:2101.06983): a contrastive batch of any size on the memory of one micro-batch.

The loss needs the embeddings of all pairs, but its gradient reaches a tower's weights through each embedding alone. So: embed all
micro-batches without a graph; take the gradient of the loss with respect to the embeddings; embed each micro-batch again, this time
with a graph, and send its share of that gradient through it. The gradients are those of the plain step up to rounding, the loss's
own parameters (temperature, bias) included. Batch normalisation is the exception: its statistics are the micro-batch's.

Towers take turns, so that one tower's activations are kept at a time: the gradients, which must be kept, take less than the other's.
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
    """The loss over all micro-batches together. When its `backward` is called, every parameter's gradient has been added to `.grad`.

    All but one tower's last micro-batch has been sent backward when this returns; that is left to the caller, so that what hangs on a
    backward pass (the gradients' exchange among ranks, a scaler) happens once. Hence: clear gradients before, not after.
    Both passes over a micro-batch draw the same random numbers, and batch normalisation counts the first one only.

    Args:
        model: holds every parameter that the towers and the loss use.
        towers: each takes a micro-batch to one kind of embeddings (b, ...).
        micro_batches: one at least.
        loss: of the embeddings of all, one (B, ...) of each tower in the order of the micro-batches, to a scalar.
        scale: multiplies a loss before it is sent backward, such as torch.amp.GradScaler.scale.
    """
    if len(micro_batches) == 1:
        return loss(*(tower(micro_batches[0]) for tower in towers))
    passes, embedded = first_passes(towers, micro_batches)
    after = random_state()
    value, gradients, own = gradients_of(model, loss, [embedded[number :: len(towers)] for number in range(len(towers))], scale)

    def again(number: int) -> Tensor:
        tower, micro_batch, state = passes[number]
        set_random_state(state)
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
    """The passes that a second one with a graph is needed of, by number, and all embeddings, in the order of embedding.

    The first micro-batch's have a graph, which shows whether a tower learns at all: a frozen one needs no second pass.
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
    torch.clear_autocast_cache()  # of weights that were cast without a graph
    return passes, embedded


def gradients_of(
    model: nn.Module, loss: Callable[..., Tensor], columns: Sequence[Sequence[Tensor]], scale: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[Tensor], tuple[list[Tensor], list[Tensor]]]:
    """The loss's value; its gradient with respect to each embedding, in the order of embedding; and its own parameters with theirs.

    `columns` are each tower's embeddings by micro-batch.
    """
    leaves = [at_least_fp32(torch.cat(list(column))).requires_grad_() for column in columns]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    value = loss(*leaves)
    factor = scale(torch.ones((), dtype=value.dtype, device=value.device))  # halves underflow inside the loss too
    with torch.autocast(value.device.type, enabled=False):
        found = torch.autograd.grad(scale(value), [*leaves, *parameters], allow_unused=True)
    shares = [
        (torch.zeros_like(leaf) if gradient is None else gradient / factor).split([len(part) for part in column])
        for leaf, gradient, column in zip(leaves, found[: len(leaves)], columns, strict=True)
    ]
    used = [(p, gradient / factor) for p, gradient in zip(parameters, found[len(leaves) :], strict=True) if gradient is not None]
    return value.detach(), [share for row in zip(*shares, strict=True) for share in row], ([p for p, _ in used], [g for _, g in used])


def touched(model: nn.Module) -> Tensor | float:
    """Zero, with a gradient of zeros for all that has one already: ranks exchange gradients when a backward pass has reached each."""
    if world_size() == 1:
        return 0.0
    return sum((p.flatten()[:0].sum().double() for p in model.parameters() if p.grad is not None), start=0.0)


def product(tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """A scalar whose gradient with respect to each tensor is the one given."""
    with torch.autocast(tensors[0].device.type if tensors else "cpu", enabled=False):
        return sum(
            ((tensor.to(gradient.dtype) * gradient).sum() for tensor, gradient in zip(tensors, gradients, strict=True)),
            start=torch.zeros((), device=tensors[0].device if tensors else None),
        )


def send_backward(scalar: Tensor) -> None:
    with torch.autocast(scalar.device.type, enabled=False):
        scalar.backward()


def at_least_fp32(tensor: Tensor) -> Tensor:
    """Halves made single: a gradient of the mean over many pairs is too small for them."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class ValueWithGradient(torch.autograd.Function):
    """One scalar's value with another's gradient."""

    @staticmethod
    def forward(_: Any, value: Tensor, other: Tensor) -> Tensor:  # type: ignore[override]
        return value.clone()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        return None, gradient


RandomState = tuple[Tensor, Tensor | None]


def random_state() -> RandomState:
    """The state of torch's generators, of the CPU and of the GPU in use."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def set_random_state(state: RandomState) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


class CachedStep(lightning.LightningModule):
    """A module whose training step may compute its loss by gradient caching, with automatic optimisation, any precision and DDP."""

    caches = False
    """Whether training steps do; then gradients are cleared before them, for they hold some when they are over."""

    def cached(self, towers: Sequence[Callable[[Item], Tensor]], micro_batches: Sequence[Item], loss: Callable[..., Tensor]) -> Tensor:
        """What `training_step` returns as its loss; see `cached_loss`."""
        self.zero_grad(set_to_none=True)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return cached_loss(self, towers, micro_batches, loss, scaler.scale if scaler is not None else lambda tensor: tensor)

    def optimizer_zero_grad(self, *arguments: Any, **options: Any) -> None:
        if not self.caches:
            super().optimizer_zero_grad(*arguments, **options)
