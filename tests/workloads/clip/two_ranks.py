"""The program of each of the two ranks in test_distributed.py, started by torchrun: python two_ranks.py FOLDER OUTPUT MODEL MODEL ODD"""

from __future__ import annotations

import sys
from pathlib import Path

import models
import torch
from models import pairs, small
from runs import Talking, run
from torch import Tensor
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from clip_training.contrastive_module import ContrastiveModule
from clip_training.gradient_caching import cached_loss
from clip_training.losses import make_loss
from harness.report import Recorder, Silent
from harness.torch.distributed import gather_rows
from harness.world import rank, world_size

SIZES = (12, 4, 2)
"""Of micro-batches: a rank's six pairs at once, and in two and three parts."""


class Step(torch.nn.Module):
    """Loss of a batch, by micro-batches of so many pairs, as one forward pass that DDP can wrap."""

    def __init__(self, model: torch.nn.Module, loss: str, size: int) -> None:
        super().__init__()
        self.model, self.loss, self.size = model, make_loss(loss), size

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        towers = (
            lambda part: self.model.encode_image(part[0], normalize=True),
            lambda part: self.model.encode_text(part[1], normalize=True),
        )

        def contrast(images: Tensor, texts: Tensor) -> Tensor:
            return self.loss(images, texts, self.model.logit_scale.exp(), self.model.logit_bias)

        return cached_loss(self, towers, list(zip(images.split(self.size), tokens.split(self.size), strict=True)), contrast)


def gradients(loss: str = "clip", size: int = 12) -> dict[str, Tensor]:
    """Gradients of the loss over 12 pairs in float64, of which each rank embeds its share."""
    model = small("vit", bias=-3.0 if loss == "siglip" else None)
    step: torch.nn.Module = Step(model, loss, size)
    step = DistributedDataParallel(step) if world_size() > 1 else step
    images, tokens = pairs(model)
    mine = slice(rank(), None, world_size())
    for _ in range(2):  # what is left of a first step must not come into the second
        model.zero_grad()
        step(images[mine], tokens[mine]).backward()
    return models.gradients(model)


def steps_of_training(folder: Path, output: Path, model: Path, micro_batch: int) -> dict[str, Tensor]:
    """The gradients that the trainer gives to the optimizer in its second step."""
    found: list[dict[str, Tensor]] = []
    whole = ContrastiveModule.on_before_optimizer_step

    def keep(module: ContrastiveModule, _: object) -> None:
        found.append({name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None})

    ContrastiveModule.on_before_optimizer_step = keep  # type: ignore[method-assign]
    options = {"train__batch_size": 15, "train__epochs": 2, "train__micro_batch": micro_batch, "optim__lr": 1e-12}
    run(folder, output, model, Talking() if rank() == 0 else Silent(), **options)
    ContrastiveModule.on_before_optimizer_step = whole  # type: ignore[method-assign]
    return found[1]


Curves = dict[tuple[str, str], list[tuple[int, float]]]


def curves(folder: Path, output: Path, model: Path, loss: str) -> tuple[Curves, Curves]:
    """What rank 0 reports of six steps of 10 pairs, two steps to a point, and of its steps after the third, when resumed from there."""
    whole, rest = Recorder(), Recorder()
    options = {"train__batch_size": 10 // world_size(), "train__epochs": 1, "train__report_every": 2, "train__loss": loss}
    for report, resume in ((whole, {}), (rest, {"resume": output / "checkpoints" / "step=00000003.ckpt"})):
        run(folder, output, model, report if rank() == 0 else Silent(), **options, **resume)
    return whole.scalars, rest.scalars


def finetuned(folder: Path, output: Path, model: Path) -> tuple[dict[str, Tensor], Curves]:
    """Weights and curves of a run that ends early: of batches of 10, clipped, with a locked image tower but for its projection."""
    report = Recorder()
    options = {
        "train__batch_size": 10 // world_size(),
        "train__limit_train_batches": 3,
        "train__validate_every": 1,
        "train__clip": 0.5,
        "train__patience": 1,
        "train__monitor": "loss/held out",
        "train__min_delta": 1000.0,
        "lock__image": True,
        "lock__image_unlocked": 1,
        "rates__layer_decay": 0.5,
    }
    weights = run(folder, output, model, report if rank() == 0 else Silent(), **options)
    return weights, report.scalars


def main(folder: Path, output: Path, model: Path, undropped: Path, odd: Path) -> None:
    dist.init_process_group("gloo")
    torch.save(
        {f"{loss} {size}": gradients(loss, size) for loss in ("clip", "siglip") for size in SIZES}, output / f"gradients-{rank()}.pt"
    )
    rows = gather_rows(torch.full((rank() + 1, 2), float(rank())))  # one row of the first, two of the second
    torch.save(rows, output / f"rows-{rank()}.pt")
    trained = [steps_of_training(folder, output / f"trained-{size}", undropped, size) for size in (0, 4)]
    torch.save(trained, output / f"trained-{rank()}.pt")
    torch.save({loss: curves(folder, output / loss, undropped, loss) for loss in ("clip", "siglip")}, output / f"curves-{rank()}.pt")
    torch.save(finetuned(odd, output / "finetuned", undropped), output / f"finetuned-{rank()}.pt")
    report = Talking() if rank() == 0 else Silent()
    run(folder, output, model, report, train__batch_size=5, train__epochs=1)
    torch.save(report.scalars if isinstance(report, Talking) else {}, output / f"scalars-{rank()}.pt")
    run(folder, output / "long", model, report, train__batch_size=5, train__epochs=2000, train__validate_every=2000)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
