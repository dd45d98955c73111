"""Prepare images for fast prompt tuning: write img/, text/ and npz/ with the same stems.

python -m clip_training.npz folder=yourdataset out=yourdataset model_name=ViT-L/14

An .npz file holds `data`, float16 (3, S, S): the image, cropped and normalised for the model. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "make_npz", __doc__)

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness import Job
from harness.errors import ParameterError
from harness.files import replaced
from harness.writable import check_output

from .config import NpzConfig
from .dataloaders import datasets
from .model import Clip, make_clip, normalised
from .npz_pairs import FOLDERS
from .pairs import HeldOut, Pairs, UnusableError
from .splits import LISTS


def make_npz(job: Job) -> Path:
    """Write img/, text/, npz/, train_set.txt and val_set.txt, and return their folder. Unusable pairs are left out.

    Args:
        job: its settings are an NpzConfig. Its dataset is pairs in any form, or None where `data.stream` names them. If `out` is the
            dataset's own folder, its img/ and text/ stay as they are.

    Raises:
        HarnessError: for invalid settings or unusable data.
    """
    settings: NpzConfig = job.settings
    folder = job.dataset
    if settings.data.module:
        raise ParameterError(["data.module: cannot be used with make_npz, which needs image files and captions"])
    out = Path(settings.out) if settings.out else job.output_dir / "data"
    for name in FOLDERS:
        check_output(settings.out, out / name, "out")
    clip = make_clip(settings.model)
    training, heldout = datasets(clip, settings.data, folder, job.seed)
    in_place = folder is not None and out.resolve() == folder.resolve()
    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    twice = Counter(pair.stem for pair in [*training.pairs, *heldout.pairs])
    unusable: list[str] = []
    for data, name in zip((training, heldout), LISTS, strict=True):
        stems = []
        for index in job.report.progress(range(len(data)), len(data), name.partition("_")[0]):
            pair = data.pairs[index]
            stem = pair.stem if twice[pair.stem] == 1 or in_place else f"{name[0]}{index:07d}-{pair.stem}"
            try:
                write(data, index, stem, out, clip, random=settings.crop == "random", copy=not in_place)
            except UnusableError as error:
                unusable.append(str(error))
            else:
                stems.append(stem)
        write_list(out / name, stems)
    if unusable:
        job.report.text(f"{len(unusable)} pairs are unusable and were left out, e.g. {unusable[0]}")
    count = len(training) + len(heldout) - len(unusable)
    job.report.text(f"{count} pairs for {clip.name}, {clip.size} pixels, are in {out}, ready for finetune_vpt")
    return out


def write(data: Pairs, index: int, stem: str, out: Path, clip: Clip, *, random: bool, copy: bool) -> None:
    """Write one pair's files. The .npz file appears whole or not at all."""
    image, captions = data.read(index)
    rng = np.random.default_rng([data.seed, 0, index])
    pixels = data.prepared(image) if isinstance(data, HeldOut) else centre_or_random(data, image, clip, rng if random else None)
    values = normalised(pixels, clip.mean.view(3, 1, 1), clip.std.view(3, 1, 1)).half().numpy()
    with replaced(out / "npz" / f"{stem}.npz") as beside, beside.open("wb") as file:
        np.savez(file, data=values)
    if copy:
        pair = data.pairs[index]
        (out / "img" / f"{stem}{pair.image.suffix}").write_bytes(pair.image.read_bytes())
        (out / "text" / f"{stem}.txt").write_text("\n".join(captions) + "\n")


def centre_or_random(data: Pairs, image: Image.Image, clip: Clip, rng: np.random.Generator | None) -> Tensor:
    if rng is not None:
        return data.augmented(image, rng)
    return torch.from_numpy(np.array(clip.transform(image))).permute(2, 0, 1)


def write_list(path: Path, stems: Sequence[str]) -> None:
    with replaced(path) as beside:
        beside.write_text("\n".join(stems) + "\n")
