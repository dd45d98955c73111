"""What each of two ranks does in test_distributed.py, started by torchrun: python two_ranks.py FOLDER OUTPUT MODEL"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from open_clip import ClipLoss
from runs import Talking, run
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from clip_training.config import ModelConfig
from clip_training.model import make_clip
from harness.report import Silent
from training.distributed import gather_rows, rank, world_size


def gradients(model_file: Path) -> dict[str, torch.Tensor]:
    """Gradients of the loss over 12 pairs in float64, of which each rank embeds its share."""
    torch.manual_seed(0)
    model = make_clip(ModelConfig(name=str(model_file))).model.double()
    model.visual.patch_dropout = torch.nn.Identity()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, 3, 32, 32, dtype=torch.float64, generator=generator)
    tokens = torch.randint(1, 1000, (12, 12), generator=generator)
    wrapped = DistributedDataParallel(model) if world_size() > 1 else model
    out = wrapped(images[rank() :: world_size()], tokens[rank() :: world_size()])
    loss = ClipLoss(local_loss=True, gather_with_grad=True, rank=rank(), world_size=world_size())
    loss(out["image_features"], out["text_features"], out["logit_scale"]).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def main(folder: Path, output: Path, model: Path) -> None:
    dist.init_process_group("gloo")
    torch.save(gradients(model), output / f"gradients-{rank()}.pt")
    rows = gather_rows(torch.full((rank() + 1, 2), float(rank())))  # one row of the first, two of the second
    torch.save(rows, output / f"rows-{rank()}.pt")
    report = Talking() if rank() == 0 else Silent()
    run(folder, output, model, report, train__batch_size=5, train__epochs=1)
    torch.save(report.scalars if isinstance(report, Talking) else {}, output / f"scalars-{rank()}.pt")
    run(folder, output / "long", model, report, train__batch_size=5, train__epochs=2000, train__validate_every=2000)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
