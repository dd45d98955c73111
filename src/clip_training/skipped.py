"""What became of pairs that cannot be used: each is listed with its reason in skipped.txt, and they are counted in the log."""

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
    """Gathers from all ranks what batches say was skipped; a resumed run goes on with the list of the one before.

    Args:
        report: where the count and the list go.
        output: the folder that the list is written to.
        left_out: files that are in no pair, and why.
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
        """Bring the ranks' lists together; rank 0 writes what is new. Every rank takes part."""
        if world_size() > 1:
            lists: list[Any] = [None] * world_size()
            dist.all_gather_object(lists, self.found)
            self.found = {part: {index: reason for each in lists for index, reason in each[part].items()} for part in self.found}
        count = sum(map(len, self.found.values())) + len(self.left_out)
        if rank() == 0 and count > self.told:
            tell(self.found, self.report, self.output, self.left_out)
        self.told = count

    def state_dict(self) -> dict[str, Any]:
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.found = state_dict["found"]


def tell(found: Mapping[str, Skipped], report: Report, output: Path, left_out: Sequence[str] = ()) -> None:
    """Write the list of each part's pairs and of files in no pair, and say how many they are."""
    lines = [f"{part}\t{' '.join(reason.split())}" for part, skipped in found.items() for _, reason in sorted(skipped.items())]
    unpaired = [f"in no pair\t{' '.join(reason.split())}" for reason in left_out]
    with replaced(output / FILE) as beside:
        beside.write_text("".join(f"{line}\n" for line in [*lines, *unpaired]), "utf-8", "backslashreplace")
    report.artifact("skipped", output / FILE)
    counts = " and ".join(f"{len(skipped)} {part}" for part, skipped in found.items() if skipped)
    say = {f"{counts} pairs cannot be used and were skipped so far": lines, f"{len(unpaired)} files are in no pair": unpaired}
    for what, listed in say.items():
        if listed:
            examples = "; ".join(line.partition("\t")[2] for line in listed[:3])
            report.text(f"{what}, all of them in {output / FILE}: {examples.encode(errors='backslashreplace').decode()}")
