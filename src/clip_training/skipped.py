"""Reporting unusable pairs: each is listed with its reason in skipped.txt, and the log counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Callback
from torch import distributed as dist

from harness.files import replaced
from harness.report import Report
from harness.world import rank, world_size

from .pairs import Skipped

FILE = "skipped.txt"


class ListSkipped(Callback):
    """Gathers the skipped pairs of all ranks' batches. A resumed run continues the list of the run before.

    Args:
        report: where the counts and the list go.
        output: the folder to write the list to.
        left_out: files that belong to no pair, and why.
    """

    def __init__(self, report: Report, output: Path, left_out: Sequence[str] = ()) -> None:
        self.report, self.output, self.left_out = report, output, left_out
        self.found: dict[str, Skipped] = {"training": {}, "held out": {}}
        self.told = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.found["training"] |= getattr(batch, "skipped", {})

    def on_validation_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.found["held out"] |= getattr(batch, "skipped", {})

    def on_train_epoch_end(self, *_: Any) -> None:
        self.tell()

    def on_validation_end(self, *_: Any) -> None:
        self.tell()

    def tell(self) -> None:
        """Merge the ranks' lists; rank 0 writes the result if it is longer. Every rank must call this."""
        if world_size() > 1:
            lists: list[Any] = [None] * world_size()
            dist.all_gather_object(lists, self.found)
            self.found = {part: {index: reason for each in lists for index, reason in each[part].items()} for part in self.found}
        count = sum(map(len, self.found.values())) + len(self.left_out)
        if rank() == 0 and count > self.told:
            write_list(self.found, self.report, self.output, self.left_out)
        self.told = count

    def state_dict(self) -> dict[str, Any]:
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.found = state_dict["found"]


def write_list(found: Mapping[str, Skipped], report: Report, output: Path, left_out: Sequence[str] = ()) -> None:
    """Write the list of skipped pairs and of files in no pair, and report how many there are."""
    lines = [f"{part}\t{' '.join(reason.split())}" for part, skipped in found.items() for _, reason in sorted(skipped.items())]
    unpaired = [f"in no pair\t{' '.join(reason.split())}" for reason in left_out]
    with replaced(output / FILE) as beside:
        beside.write_text("".join(f"{line}\n" for line in [*lines, *unpaired]), "utf-8", "backslashreplace")
    report.artifact("skipped", output / FILE)
    counts = " and ".join(f"{len(skipped)} {part}" for part, skipped in found.items() if skipped)
    summaries = {f"{counts} pairs are unusable and were skipped so far": lines, f"{len(unpaired)} files belong to no pair": unpaired}
    for summary, listed in summaries.items():
        if listed:
            examples = "; ".join(line.partition("\t")[2] for line in listed[:3])
            report.text(f"{summary}, listed in {output / FILE}, e.g. {examples.encode(errors='backslashreplace').decode()}")
