"""AdamW with statistics of 4, 2 or 1 bytes each, and optionally 2-byte weights with stochastic rounding.

The algorithm, the 1-byte statistics (Dettmers et al. 2021, arXiv:2110.02861) and the rounding of weights are torchao's. The 2-byte
statistics are ours, because libraries round them to nearest: with beta2 = 0.999, one step changes the mean square by less than half the
distance between two bfloat16 numbers, so it could never decrease. With stochastic rounding it is correct on average.
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


class HalfState(TorchAOBaseTensor):
    """A statistic that appears as float32 but is stored in bfloat16, rounded stochastically on every write."""

    def __new__(cls, stored: Tensor) -> HalfState:
        # torch's documented way to make a wrapper, though its name is private
        wrapper: HalfState = Tensor._make_wrapper_subclass(cls, stored.shape, device=stored.device, dtype=torch.float32)
        return wrapper

    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __tensor_flatten__(self) -> tuple[list[str], list[Any]]:
        """Used by torch.compile, as is `__tensor_unflatten__`."""
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
    return HalfState(args[0].stored.to(kwargs.get("device"), copy=True))  # a change of dtype only changes what it appears as


class LeanAdamW(AdamW8bit):
    """torchao's AdamW with two differences.

    The statistics do not take on the weights' dtype, neither when they are created nor when they are loaded from a checkpoint. And all
    ranks round with the same random numbers, so that their weights stay equal.

    Args:
        groups: parameters, float32 or bfloat16, each group with its `weight_decay`.
        lr: learning rate.
        betas: decay rates of the running means of the gradient and of its square.
        eps: AdamW's epsilon.
        state_dtype: one of config.STATE_DTYPES; `int8` applies to tensors whose size is a multiple of 256 and at least 4096, others
            keep `fp32`.
        compiled: compile a kernel for each shape on a CPU too, as on a GPU: takes seconds per shape, makes steps up to ten times faster.
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
                loss = closure()  # outside `drawn_alike`: it draws random numbers of its own
        first = next(p for group in self.param_groups for p in group["params"])
        done = max((int(state["step"]) for state in list(self.state.values())[:1]), default=0)
        compiled = self.compiled or first.device.type == "cuda"
        with drawn_alike(done, first.device), nullcontext() if compiled else torch.compiler.set_stance("force_eager"):
            super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The usual state dict, in plain tensors, so that a checkpoint can be read without torchao."""
        found = super().state_dict()
        packed = {number: {key: pack(value) for key, value in state.items()} for number, state in found["state"].items()}
        return {**found, "state": packed}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({**state_dict, "state": {}})  # with the state, torch would cast the statistics to the weights' dtype
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
    """Random numbers that depend on the step alone: the same on all ranks and in a resumed run. The rank's own generators are untouched."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(step)
        yield
