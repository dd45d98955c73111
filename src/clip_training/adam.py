"""AdamW with statistics of 4, 2 or 1 bytes per weight, and weights of 2 bytes that are rounded stochastically.

The algorithm, the 1-byte statistics (Dettmers et al. 2021, arXiv:2110.02861) and the rounding of weights are torchao's. Statistics of
2 bytes are ours, because a library's are rounded to the nearest: with beta2 = 0.999 a step changes the mean square by less than half
the distance of two bfloat16 numbers, so that it never falls again. Rounded stochastically, it is right in the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torchao.optim import AdamW8bit
from torchao.optim.quant_utils import _fp32_to_bf16_sr
from torchao.optim.subclass_8bit import OptimState8bit
from torchao.utils import TorchAOBaseTensor

aten = torch.ops.aten

STATE_DTYPES = ("fp32", "bf16", "int8")


class HalfState(TorchAOBaseTensor):
    """A statistic that looks like float32 and is kept in bfloat16, rounded stochastically whenever it is written."""

    def __new__(cls, stored: Tensor) -> HalfState:
        wrapper: HalfState = Tensor._make_wrapper_subclass(cls, stored.shape, device=stored.device, dtype=torch.float32)
        return wrapper

    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __tensor_flatten__(self) -> tuple[list[str], list[Any]]:
        """For torch.compile."""
        return ["stored"], []

    @classmethod
    def __tensor_unflatten__(cls, tensors: Mapping[str, Tensor], *_: Any) -> HalfState:
        return cls(tensors["stored"])


@HalfState.implements(aten.copy_.default)
def _(_func: Any, _types: Any, args: Any, _kwargs: Any) -> Tensor:
    target, source = args
    target.stored.copy_(source.stored if isinstance(source, HalfState) else _fp32_to_bf16_sr(source.float().contiguous()))
    return target


@HalfState.implements(aten.lerp.Scalar)
def _(_func: Any, _types: Any, args: Any, kwargs: Any) -> Tensor:
    mine, *rest = args
    return torch.lerp(mine.stored.float(), *rest, **kwargs)


@HalfState.implements(aten._to_copy.default)
def _(_func: Any, _types: Any, args: Any, kwargs: Any) -> Tensor:
    return HalfState(args[0].stored.to(kwargs.get("device"), copy=True))  # another dtype is one of appearance


class LeanAdamW(AdamW8bit):
    """torchao's AdamW.

    Unlike torchao's, statistics do not take on the weights' dtype, neither here nor from a checkpoint; and all ranks round with the same
    random numbers, so that their weights stay equal.

    Args:
        groups: of parameters, float32 or bfloat16, each with its `weight_decay`.
        lr: learning rate.
        betas: decays of the gradient's mean and of its square.
        eps: AdamW's epsilon.
        state_dtype: of the statistics; `int8` those of tensors with a multiple of 256 and 4096 elements at least, others stay `fp32`.
        compiled: compile a kernel for each shape also on a CPU, as on a GPU: seconds for each, and steps up to ten times faster.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        state_dtype: str,
        compiled: bool = False,
    ) -> None:
        self.state_dtype, self.compiled = state_dtype, compiled
        super().__init__(groups, lr=lr, betas=betas, eps=eps, bf16_stochastic_round=True)

    def _new_buffer(self, p: Tensor, signed: bool) -> Tensor:
        if self.state_dtype == "bf16":
            return HalfState(torch.zeros_like(p, dtype=torch.bfloat16, memory_format=torch.contiguous_format))
        if self.state_dtype == "int8" and p.numel() >= 4096 and p.numel() % self.block_size == 0:
            return OptimState8bit.zeros(p.shape, signed, self.block_size, p.device, dtype=torch.float32)
        return torch.zeros_like(p, dtype=torch.float32)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()  # draws its own random numbers
        first = next(p for group in self.param_groups for p in group["params"])
        done = max((int(state["step"]) for state in list(self.state.values())[:1]), default=0)
        compiled = self.compiled or first.device.type == "cuda"
        with drawn_alike(done, first.device), nullcontext() if compiled else torch.compiler.set_stance("force_eager"):
            super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """As every optimizer's, in plain tensors, so that a checkpoint is read without torchao."""
        found = super().state_dict()
        packed = {number: {key: pack(value) for key, value in state.items()} for number, state in found["state"].items()}
        return {**found, "state": packed}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({**state_dict, "state": {}})  # which would make the statistics the weights' dtype
        parameters = [p for group in self.param_groups for p in group["params"]]
        for number, state in state_dict["state"].items():
            device = parameters[number].device
            self.state[parameters[number]] = {key: unpack(key, value, device) for key, value in state.items()}


def pack(value: Any) -> Any:
    if isinstance(value, OptimState8bit):
        return {"codes": value.codes, "scale": value.scale, "signed": value.signed, "qmap": value.qmap}
    return value.stored if isinstance(value, HalfState) else value


def unpack(key: str, value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        codes, scale, qmap = (value[name].to(device, copy=True) for name in ("codes", "scale", "qmap"))
        return OptimState8bit(codes, scale, qmap, value["signed"], torch.float32)
    if key == "step":
        return value.clone()
    moved = value.to(device, copy=True)
    return HalfState(moved) if moved.dtype == torch.bfloat16 else moved


@contextmanager
def drawn_alike(step: int, device: torch.device) -> Iterator[None]:
    """Random numbers that follow from the step alone: the same on all ranks, whose own are not touched, and in a resumed run."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(step)
        yield
