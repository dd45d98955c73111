"""Data modules as users write them: coloured squares, with the colour's name as the text."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

COLOURS = {"red": (210, 40, 40), "green": (40, 170, 60), "blue": (40, 70, 210), "white": (240, 240, 240)}


class Squares(Dataset[Any]):
    def __init__(self, count: int, draws: bool, floats: bool) -> None:
        self.count, self.draws, self.floats = count, draws, floats

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        name = list(COLOURS)[index % len(COLOURS)]
        image = torch.tensor(COLOURS[name], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32).clone()
        if self.draws:  # by two generators, as augmentations do
            image[:, : int(torch.randint(1, 32, ())), : np.random.randint(1, 32)] = index
        return (image.float() / 255 if self.floats else image), f"a {name} square {index}", index


class Module(lightning.LightningDataModule):
    """ResumableBatchSampler of images, texts and a number."""

    def __init__(self, count: int = 22, batch_size: int = 5, workers: int = 0, draws: bool = True, floats: bool = False) -> None:
        super().__init__()
        self.count, self.batch_size, self.workers, self.draws, self.floats = count, batch_size, workers, draws, floats
        self.called: list[str] = []

    def prepare_data(self) -> None:
        self.called.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.called.append(f"setup {stage}")

    def loader(self, count: int, training: bool, **options: Any) -> DataLoader[Any]:
        data = Squares(count, self.draws and training, self.floats)
        return DataLoader(data, self.batch_size, shuffle=training, num_workers=self.workers, **options)

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.called == ["prepare_data", "setup fit"]
        return self.loader(self.count, True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(8, False)


class Persistent(Module):
    """Its workers outlive an epoch, and so would the generator of its order."""

    def loader(self, count: int, training: bool, **options: Any) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(5)
        return super().loader(count, training, persistent_workers=True, generator=generator, **options)


class Tokens(Module):
    """Texts are tokens already."""

    def loader(self, count: int, training: bool, **options: Any) -> DataLoader[Any]:
        def collate(items: list[tuple[Any, ...]]) -> tuple[Tensor, Tensor]:
            tokens = torch.zeros(len(items), 12, dtype=torch.int64)
            tokens[:, 0] = torch.tensor([1 + item[2] % len(COLOURS) for item in items])
            tokens[:, 1] = 49407  # open_clip's end of a text
            return torch.stack([item[0] for item in items]), tokens

        return super().loader(count, training, collate_fn=collate, drop_last=training)


class Endless(Module):
    def train_dataloader(self) -> Any:
        class Stream(IterableDataset[Any]):
            def __iter__(self) -> Any:
                return iter(())

        return DataLoader(Stream(), 5)


class Wrong(Module):
    """Gives what `what` says in place of images and texts."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def loader(self, count: int, training: bool, **options: Any) -> DataLoader[Any]:
        images = torch.zeros(5, 3, 32, 32)
        given = {"images only": images, "small": (images[..., :16], ["a"] * 5), "few": (images, ["a"]), "numbers": (images, [1.0] * 5)}
        return super().loader(count, training, collate_fn=lambda _: given[self.what])
