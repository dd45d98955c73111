"""Exact gradient caching (Gao et al. 2021, arXiv:2101.06983): a contrastive batch of any size on the memory of one micro-batch.

The loss needs the embeddings of all pairs, but its gradient reaches a tower's weights through each embedding alone. So: embed all
micro-batches without a graph; take the gradient of the loss with respect to the embeddings; embed each micro-batch again, this time
with a graph, and send its share of that gradient through it. The gradients are those of the plain step up to rounding, the loss's
own parameters (temperature, bias) included. Batch normalisation is the exception: its statistics are the micro-batch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from training.batchnorm import unchanged_statistics

Item = TypeVar("Item")


def cached_loss(
    model: nn.Module,
    embed: Callable[[Item], Sequence[Tensor]],
    micro_batches: Sequence[Item],
    loss: Callable[..., Tensor],
    scale: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Tensor:
    """The loss over all micro-batches together. When its `backward` is called, every parameter's gradient has been added to `.grad`.

    All micro-batches but one have been sent backward when this returns; the last one is left to the caller, so that what hangs on a
    backward pass (the gradients' exchange among ranks, a scaler) happens once. Hence: clear gradients before, not after.
    Both passes over a micro-batch draw the same random numbers, and batch normalisation counts the first one only.

    Args:
        model: holds every parameter that `embed` and `loss` use.
        embed: a micro-batch to its embeddings, one or several tensors (b, ...).
        micro_batches: one at least.
        loss: of the embeddings of all, each (B, ...) in the order of the micro-batches, to a scalar.
        scale: multiplies a loss before it is sent backward, such as torch.amp.GradScaler.scale.
    """
    *earlier, last = micro_batches
    if not earlier:
        return loss(*embed(last))
    states, parts = [], []
    for micro_batch in earlier:
        states.append(random_state())
        with torch.no_grad():
            parts.append(tuple(embed(micro_batch)))
    torch.clear_autocast_cache()  # of weights that were cast without a graph
    parts.append(tuple(embed(last)))  # with its graph: one pass is enough for what is sent backward first
    after = random_state()
    value, gradients, own = gradients_of(model, loss, parts, scale)
    send_backward(scale(product(parts.pop(), gradients.pop())))
    for number, micro_batch in enumerate(earlier):
        set_random_state(states[number])
        with unchanged_statistics(model):
            embeddings = tuple(embed(micro_batch))
        if number < len(earlier) - 1:
            send_backward(scale(product(embeddings, gradients[number])))
    set_random_state(after)
    return ValueWithGradient.apply(value, product(embeddings, gradients[-1]) + product(*own))


def gradients_of(
    model: nn.Module, loss: Callable[..., Tensor], parts: Sequence[Sequence[Tensor]], scale: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[list[Tensor]], tuple[list[Tensor], list[Tensor]]]:
    """The loss's value; its gradient with respect to each micro-batch's embeddings; and its own parameters with theirs."""
    leaves = [at_least_fp32(torch.cat([tensor.detach() for tensor in column])).requires_grad_() for column in zip(*parts, strict=True)]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    value = loss(*leaves)
    factor = scale(torch.ones((), dtype=value.dtype, device=value.device))  # halves underflow inside the loss too
    with torch.autocast(value.device.type, enabled=False):
        found = torch.autograd.grad(scale(value), [*leaves, *parameters], allow_unused=True)
    sizes = [len(part[0]) for part in parts]
    columns = [
        (torch.zeros_like(leaf) if gradient is None else gradient / factor).split(sizes)
        for leaf, gradient in zip(leaves, found[: len(leaves)], strict=True)
    ]
    used = [(p, gradient / factor) for p, gradient in zip(parameters, found[len(leaves) :], strict=True) if gradient is not None]
    return value.detach(), [list(row) for row in zip(*columns, strict=True)], ([p for p, _ in used], [g for _, g in used])


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


def random_state() -> tuple[Tensor, Tensor | None]:
    """The state of torch's generators, of the CPU and of the GPU in use."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def set_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


class CachedStep(lightning.LightningModule):
    """A module whose training step may compute its loss by gradient caching, with automatic optimisation, any precision and DDP."""

    caches = False
    """Whether training steps do; then gradients are cleared before them, for they hold some when they are over."""

    def cached(self, embed: Callable[[Item], Sequence[Tensor]], micro_batches: Sequence[Item], loss: Callable[..., Tensor]) -> Tensor:
        """What `training_step` returns as its loss; see `cached_loss`."""
        self.zero_grad(set_to_none=True)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return cached_loss(self, embed, micro_batches, loss, scaler.scale if scaler is not None else lambda tensor: tensor)

    def optimizer_zero_grad(self, *arguments: Any, **options: Any) -> None:
        if not self.caches:
            super().optimizer_zero_grad(*arguments, **options)
