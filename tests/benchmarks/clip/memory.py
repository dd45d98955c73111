"""Memory for training ViT-B/32 in fp32: peak memory of whole programs, and the size of weights and optimiser state between steps."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clip import PYTHON, environment
from benchmarks.clip.speed import draw_pairs
from benchmarks.programs import Usage, used
from benchmarks.table import Row, less_is_better

TEXT = """
The memory of training ViT-B/32 in fp32. int8 states are counted as they are kept; on a CPU a step needs more for a moment.
"""
MODEL = "ViT-B-32"
BATCH, LARGE = 32, 64
EFFECTIVE = 256
LEAN = ({"state_dtype": "bf16"}, {"state_dtype": "int8"}, {"text_weights": "bf16"}, {"state_dtype": "int8", "text_weights": "bf16"})


def step(folder: Path, name: str, batch_size: int, **loop: object) -> Usage:
    """One optimizer step by our program, in a process of its own."""
    place = folder / name.replace(", ", "-").replace(" ", "-")
    place.mkdir()
    settings = {
        "model.name": MODEL,
        "dataset_path": draw_pairs(place / "pairs", batch_size).parent,
        "output_dir": place,
        "data.workers": 1,
        "optim.lr": 1e-4,
        "optim.warmup": 0,
        "train.epochs": 1,
        "train.batch_size": batch_size,
        "train.checkpoint_every": 1000,
        "train.debug_images": 0,
        **{f"train.{key}": value for key, value in loop.items()},
    }
    program = [PYTHON, "-m", "clip_training.train", *(f"{key}={value}" for key, value in settings.items())]
    usage = used(program, place / "log.txt", environment())
    print(f"{name}: {usage.peak_gib:.2f} GiB, {usage.cpu_s:.0f} CPU s", flush=True)
    return usage


def kept(options: dict[str, str]) -> tuple[float, float]:
    """GiB of the weights and of the optimiser's state after a step, in a process of its own."""
    program = [PYTHON, "-m", "benchmarks.clip.memory", json.dumps(options)]
    done = subprocess.run(program, env=environment(), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    weights, state = json.loads(done.stdout.splitlines()[-1])
    return weights / 2**30, state / 2**30


def child(options: dict[str, str]) -> None:
    """Print the bytes of weights and state of ViT-B/32 with `options` of `optim`."""
    import torch

    from clip_training import efficiency
    from clip_training.config import ModelConfig, OptimConfig, TrainConfig
    from clip_training.model import make_clip
    from clip_training.optim import make_optimizer

    settings = TrainConfig(model=ModelConfig(name=MODEL), optim=OptimConfig(**options))
    clip = make_clip(settings.model)
    efficiency.apply(clip.model, settings.train, settings.optim.text_weights)
    optimizer = make_optimizer(clip.model, settings.optim, clip.name)
    for parameter in clip.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    print(json.dumps([bytes_in(dict(clip.model.named_parameters())), bytes_in(optimizer.state_dict()["state"])]))


def bytes_in(value: object) -> int:
    """Bytes of all tensors in nested containers, of quantised ones those of what they are made of."""
    import torch

    if isinstance(value, torch.Tensor):
        names = value.__tensor_flatten__()[0] if hasattr(value, "__tensor_flatten__") else []
        return sum(bytes_in(getattr(value, name)) for name in names) if names else value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(bytes_in, value.values()))
    return sum(map(bytes_in, value)) if isinstance(value, list | tuple) else 0


def rows() -> list[Row]:
    """One for each way to save memory."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plain = step(folder, f"batch {BATCH}", BATCH)
        large, checkpointed = (step(folder, f"batch {LARGE}, {on}", LARGE, checkpointing=on) for on in (False, True))
        cached = step(folder, f"batch {EFFECTIVE} in {BATCH}s", EFFECTIVE, micro_batch=BATCH)
    full = sum(kept({}))
    found = [
        less_is_better(
            f"effective batch {EFFECTIVE}, in micro-batches of {BATCH}",
            cached.peak_gib,
            plain.peak_gib,
            "GiB",
            f"peak of the program; the alternative is a plain batch of {BATCH}",
        ),
        less_is_better(
            f"gradient checkpointing, batch {LARGE}",
            checkpointed.peak_gib,
            large.peak_gib,
            "GiB",
            f"peak of the program; {checkpointed.cpu_s:.0f} against {large.cpu_s:.0f} CPU s, start included",
        ),
    ]
    for options in LEAN:
        weights, state = kept(options)
        named = ", ".join(f"optim.{key}={value}" for key, value in options.items())
        note = f"weights ({weights:.2f}) and optimizer state ({state:.2f}); the alternative is fp32"
        found.append(less_is_better(named, weights + state, full, "GiB", note))
    return found


if __name__ == "__main__":
    child(json.loads(sys.argv[1]))
