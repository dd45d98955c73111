"""What training, data-efficient fine-tuning and prompt tuning learn from tabletop's renders, evaluated on held-out scenes.

Training starts a small CLIP from random weights. Fine-tuning joins its image tower to a small BERT of random weights, which so far
knows nothing of pictures. Prompt tuning takes the trained CLIP, whose weights stay, to pictures in dim light, of cameras low and high,
near and far. Everything goes by the commands that users type.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from benchmarks.clip import PYTHON, environment
from benchmarks.programs import run_workload, used
from benchmarks.table import Row, more_is_better

TEXT = """
What `tabletop-tiny`, 64 pixels wide, learns from 2,500 renders of tabletop, and from 1,000 in dim light. The text tower of the
data-efficient fine-tuning is a small BERT of random weights, a stand-in for a trained one.
"""
TRIAL = os.environ.get("CLIP_BENCH_SIZE") == "small"
DIM = 0.3
"""Share of the light that is left."""
SCENES, VARIED, EPOCHS = (120, 60, 2) if TRIAL else (3000, 1200, 24)
"""A sixth of the scenes is held out. With CLIP_BENCH_SIZE=small the benchmark itself is tried; its figures say nothing."""
COMMON = {"data.workers": 0, "data.keep_in_memory": True, "train.debug_images": 0, "train.validate_every": 1000}
CLASSES = {"colour": "tabletop_colours", "object": "tabletop_objects"}
TINY = {"image.encoder": "open_clip/tabletop-tiny", "text.context": 32}


@dataclass
class Bench:
    """A folder, and the programs that run in it."""

    folder: Path

    def render(self, name: str, count: int, **settings: object) -> Path:
        """A folder of pairs, train/ and heldout/."""
        given = {"config": "pairs", "n": count, "name": name, "output_dir": self.folder / name, **settings}
        run_workload("tabletop", self.folder / f"{name}.log", environment(), **given)
        return next((self.folder / name).rglob("heldout")).parent

    def clip(self, command: str, name: str, data: Path, **settings: object) -> float:
        """Run a command of clip with its files in `name`; returns its CPU minutes."""
        stated = {"dataset_path": data, "output_dir": self.folder / name, **settings}
        tokens = [f"{key.replace('__', '.')}={value}" for key, value in stated.items()]
        usage = used([PYTHON, "-m", f"clip_training.{command}", *tokens], self.folder / f"{name}.log", environment())
        said = (self.folder / f"{name}.log").read_text().splitlines()
        print(f"{name}: {usage.cpu_s / 60:.1f} CPU min", *(line for line in said if "recall@1" in line), sep="\n  ", flush=True)
        return usage.cpu_s / 60

    def evaluated(self, name: str, data: Path, **settings: object) -> dict[str, Any]:
        classes = f"[{','.join(CLASSES.values())}]"
        options = {"data.workers": 0, "evaluate.debug_images": 0, "zero_shot.classes": classes, "zero_shot.templates": "name"}
        self.clip("evaluate", name, data, **options, **settings)
        found: dict[str, Any] = json.loads(self.file(name, "results.json").read_text())
        return found

    def file(self, name: str, file: str) -> Path:
        """A file that a command has left in `name`."""
        (found,) = (self.folder / name).glob(f"clip/*/{file}")
        return found

    def first_and_last(self, name: str, title: str, series: str) -> tuple[float, float]:
        """Ends of a run's curve."""
        points = [json.loads(line) for line in self.file(name, "scalars.jsonl").read_text().splitlines()]
        values = [point["value"] for point in points if (point["title"], point["series"]) == (title, series)]
        return values[0], values[-1]


def rows() -> list[Row]:
    """`learning, <what>`: ours after, beside it chance or the start."""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        pairs = bench.render("tabletop-pairs", SCENES)
        dim = dimmed(bench.render("tabletop-varied", VARIED, varied=True))
        return [*training(bench, pairs), *prompt_tuning(bench, dim), *fine_tuning(bench, pairs)]


def dimmed(pairs: Path) -> Path:
    """The same pictures in dim light, in place."""
    for part in ("train", "heldout"):
        for file in (pairs / part).rglob("*.png"):
            with Image.open(file) as picture:
                ImageEnhance.Brightness(picture.convert("RGB")).enhance(DIM).save(file)
    return pairs


def training(bench: Bench, pairs: Path) -> list[Row]:
    loop = {"optim.lr": 1e-3, "optim.warmup": 50 if not TRIAL else 2, "train.epochs": EPOCHS, "train.batch_size": 64 if not TRIAL else 16}
    minutes = bench.clip("train", "trained", pairs, **{"model.name": "tabletop-tiny"}, **loop, **COMMON)
    found = bench.evaluated("evaluated", pairs, **{"model.name": "tabletop-tiny"}, init_from=bench.file("trained", "weights.pt"))
    retrieved = found["retrieval"]
    over = f"in {retrieved['pairs']} unseen scenes; the alternative is chance"
    made = [
        more_is_better(way, recall["1"], retrieved["chance"]["1"], "recall@1", over, f"{minutes:.1f} CPU min of training")
        for way, recall in retrieved["recall"].items()
    ]
    for what, name in CLASSES.items():
        result = found["zero-shot"][name]
        top, chance = (result[key]["1"] for key in ("top", "chance"))
        over = f"in {result['images']} unseen scenes; the alternative is chance"
        made.append(more_is_better(f"zero-shot {what}", top, chance, "top-1", over))
    return made


def prompt_tuning(bench: Bench, dim: Path) -> list[Row]:
    weights = bench.file("trained", "weights.pt")
    loop = {"train.epochs": EPOCHS, "train.batch_size": 64 if not TRIAL else 16, "optim.lr": 1e-2, "optim.warmup": 20 if not TRIAL else 1}
    minutes = bench.clip("finetune_vpt", "prompts", dim, **{"model.name": "tabletop-tiny"}, init_from=weights, **loop, **COMMON)
    return [improved(bench, "prompts", "prompt tuning for dim light", "the trained CLIP without prompts", minutes)]


def fine_tuning(bench: Bench, pairs: Path) -> list[Row]:
    text = bench.folder / "bert"
    used([PYTHON, "-m", "benchmarks.clip.learning", text, pairs], bench.folder / "bert.log", environment())
    options = {**TINY, "image.pretrained": bench.file("trained", "weights.pt"), "text.encoder": text, "width": 128}
    loop = {"train.epochs": EPOCHS, "train.batch_size": 64 if not TRIAL else 16, "optim.lr": 0.01, "optim.warmup": 50 if not TRIAL else 2}
    minutes = bench.clip("finetune", "finetuned", pairs, **options, **loop, **COMMON)
    return [
        improved(
            bench, "finetuned", "data-efficient fine-tuning", "its start: a trained image tower, a text tower of random weights", minutes
        )
    ]


def improved(bench: Bench, name: str, what: str, start: str, minutes: float) -> Row:
    before, after = bench.first_and_last(name, "recall@1", "image to text")
    note = f"image to text; the alternative is {start}; {minutes:.1f} CPU min of training"
    return more_is_better(what, after, before, "recall@1", note)


def write_bert(folder: Path, pairs: Path) -> None:
    """A small BERT of random weights, its words those of the captions."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir()
    words = {word.strip(".,;") for file in (pairs / "train").rglob("*.txt") for word in file.read_text().lower().split()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", ";", *sorted(words - {""})]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
    BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)


if __name__ == "__main__":
    write_bert(Path(sys.argv[1]), Path(sys.argv[2]))
