"""AdamW with smaller statistics and weights, compared with AdamW in float32."""

from __future__ import annotations

from io import BytesIO

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torchao.optim.subclass_8bit import OptimState8bit

from clip_training.adam import HalfState, LeanAdamW
from clip_training.config import STATE_DTYPES, OptimConfig
from clip_training.optim import make_optimizer, parameter_groups

SHAPE = (32, 160)  # 5120 elements: twenty blocks of 256


def optimizers(dtype: torch.dtype, state_dtype: str, decay: float = 0.2, beta2: float = 0.98) -> tuple[Tensor, LeanAdamW, Tensor, AdamW]:
    """One parameter with our optimiser, and an equal one with AdamW in float32."""
    torch.manual_seed(0)
    mine = nn.Parameter(torch.randn(SHAPE).to(dtype))
    other = nn.Parameter(mine.detach().float().clone())
    ours = LeanAdamW([{"params": [mine], "weight_decay": decay}], 1e-2, (0.9, beta2), 1e-6, state_dtype)
    return mine, ours, other, AdamW([other], lr=1e-2, betas=(0.9, beta2), eps=1e-6, weight_decay=decay)


def descend(parameter: Tensor, optimizer: torch.optim.Optimizer, steps: int, begin: int = 0) -> None:
    """Descend towards a target, with gradient noise that depends on the step alone."""
    target = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    for number in range(begin, begin + steps):
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(100 + number))
        parameter.grad = (parameter.detach().float() - target + noise).to(parameter.dtype)
        optimizer.step()


@pytest.mark.parametrize(("state_dtype", "close"), [("fp32", 1e-5), ("bf16", 0.003), ("int8", 0.03)])
def test_steps_equal_those_of_adamw_with_decoupled_decay(state_dtype: str, close: float) -> None:
    mine, ours, other, theirs = optimizers(torch.float32, state_dtype)
    descend(mine, ours, 60)
    descend(other, theirs, 60)
    assert float((mine - other).detach().square().mean().sqrt()) < close
    assert float((other.detach() - optimizers(torch.float32, "fp32")[0].detach()).square().mean().sqrt()) > 0.3  # which went a long way


@pytest.mark.parametrize("state_dtype", STATE_DTYPES)
def test_decay_alone_shrinks_weights_by_the_rate_times_the_decay(state_dtype: str) -> None:
    mine, ours, _, _ = optimizers(torch.float32, state_dtype, decay=0.5)
    before = mine.detach().clone()
    mine.grad = torch.zeros(SHAPE)
    ours.step()
    assert torch.allclose(mine.detach(), before * (1 - 1e-2 * 0.5), rtol=1e-6)


def test_a_bf16_mean_square_can_decrease() -> None:
    """With beta2 = 0.999 a step changes it by a thousandth, less than half of bfloat16's spacing: rounding to nearest would freeze it."""
    mine, ours, _, _ = optimizers(torch.float32, "bf16", beta2=0.999)
    for scale in [1.0] * 5 + [0.0] * 700:
        mine.grad = torch.full(SHAPE, scale)
        ours.step()
    expected = (1 - 0.999**5) * 0.999**700
    square = ours.state[mine]["exp_avg_sq"].stored.float()
    assert float(square.mean()) == pytest.approx(expected, rel=0.02)

    nearest = torch.tensor((1 - 0.999**5), dtype=torch.bfloat16)
    for _ in range(700):
        nearest = (nearest.float() * 0.999).bfloat16()
    assert float(nearest) > 1.5 * expected


@pytest.mark.parametrize("value", [1.001, -0.3, 1e-5, 3.0])
def test_stochastic_rounding_is_correct_on_average(value: float) -> None:
    """Weights are rounded by a step that moves them to `value`, statistics when they are written."""
    torch.manual_seed(0)
    weights = nn.Parameter(torch.zeros(100_000, dtype=torch.bfloat16))
    ours = LeanAdamW([{"params": [weights], "weight_decay": 0.0}], abs(value), (0.9, 0.99), 1e-12, "fp32")
    weights.grad = torch.full((100_000,), -1.0 if value > 0 else 1.0, dtype=torch.bfloat16)
    ours.step()
    state = HalfState(torch.zeros(100_000, dtype=torch.bfloat16))
    state.copy_(torch.full((100_000,), value))
    exact = float(torch.tensor(value))
    for rounded in (weights.detach().float(), state.stored.float()):
        both = rounded.unique()
        distance = float(both.max() - both.min())
        assert len(both) <= 2
        assert float(both.min()) <= exact <= float(both.max())
        assert abs(float(rounded.double().mean()) - exact) < 5 * distance / 2 / 100_000**0.5 + 1e-6 * abs(exact)


def test_small_steps_are_not_lost_in_bf16_weights() -> None:
    """200 steps of a thousandth of the spacing between two weights: rounded to nearest, the weights would not move at all."""
    weights = nn.Parameter(torch.ones(20_000, dtype=torch.bfloat16))
    ours = LeanAdamW([{"params": [weights], "weight_decay": 0.0}], 1e-5, (0.0, 0.0), 1e-12, "fp32")
    for _ in range(200):
        weights.grad = torch.ones(20_000, dtype=torch.bfloat16)
        ours.step()
    assert float(weights.detach().float().mean()) == pytest.approx(1 - 200 * 1e-5, abs=2e-4)
    assert float((weights.detach().float() < 1).float().mean()) > 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("state_dtype", STATE_DTYPES)
def test_a_restored_state_continues_bit_for_bit(dtype: torch.dtype, state_dtype: str) -> None:
    mine, ours, _, _ = optimizers(dtype, state_dtype)
    descend(mine, ours, 7)
    file = BytesIO()
    torch.save({"weights": mine.detach().clone(), "optimizer": ours.state_dict()}, file)
    descend(mine, ours, 5, begin=7)
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    again, another, _, _ = optimizers(dtype, state_dtype)
    again.data.copy_(stored["weights"])
    another.load_state_dict(stored["optimizer"])
    torch.manual_seed(123)  # of no account
    descend(again, another, 5, begin=7)
    assert torch.equal(again, mine)


def test_ranks_round_with_the_same_random_numbers_and_keep_their_own_generators() -> None:
    found = []
    for rank in (0, 1):
        mine, ours, _, _ = optimizers(torch.bfloat16, "bf16")
        torch.manual_seed(rank)
        descend(mine, ours, 3)
        found.append((mine.detach().clone(), torch.rand(1)))
        torch.manual_seed(rank)
        assert torch.equal(found[-1][1], torch.rand(1))
    assert torch.equal(found[0][0], found[1][0])


def test_a_state_moves_between_devices_unchanged() -> None:
    state = HalfState(torch.full((3,), 1.5, dtype=torch.bfloat16))
    moved = state.to(torch.device("meta"))
    assert isinstance(moved, HalfState)
    assert (moved.device.type, moved.dtype, moved.stored.dtype) == ("meta", torch.float32, torch.bfloat16)


def test_a_compiler_can_trace_every_kind_of_statistics() -> None:
    """On a GPU the whole step is compiled. The compiler's front end alone, used here, shows whether that is possible."""
    for state_dtype in STATE_DTYPES:
        mine, ours, other, theirs = optimizers(torch.float32, state_dtype)
        ours.compiled = True
        with torch.compiler.set_stance(force_backend="eager"):
            descend(mine, ours, 2)
        descend(other, theirs, 2)
        assert torch.allclose(mine, other, atol=5e-3), state_dtype
    torch.compiler.reset()


def bytes_of(state: object) -> int:
    if isinstance(state, OptimState8bit):
        return state.codes.numel() + 4 * state.scale.numel()
    return state.stored.numel() * 2 if isinstance(state, HalfState) else state.numel() * state.element_size()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("state_dtype", "size"), [("fp32", 8.0), ("bf16", 4.0), ("int8", 2.03125)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_take_the_requested_number_of_bytes(dtype: torch.dtype, state_dtype: str, size: float) -> None:
    mine, ours, _, _ = optimizers(dtype, state_dtype)
    descend(mine, ours, 1)
    assert sum(bytes_of(ours.state[mine][key]) for key in ("exp_avg", "exp_avg_sq")) / mine.numel() == size


def test_the_settings_choose_the_optimizer() -> None:
    model = nn.ModuleDict({"visual": nn.Linear(2, 2), "text": nn.Linear(2, 2)})
    assert isinstance(make_optimizer(model, OptimConfig()), AdamW)
    for settings in (OptimConfig(state_dtype="bf16"), OptimConfig(state_dtype="int8"), OptimConfig(text_weights="bf16")):
        lean = make_optimizer(model, settings)
        assert isinstance(lean, LeanAdamW)
        assert [group["weight_decay"] for group in lean.param_groups] == [group["weight_decay"] for group in parameter_groups(model, 0.2)]
        assert lean.state_dtype == settings.state_dtype
        assert float(lean.param_groups[0]["lr"]) == pytest.approx(5e-4)
