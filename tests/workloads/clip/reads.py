"""Runs of clip's commands and branches that its smoke run does not go through, for the check that each reads its settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from coloured_squares import COLOURS, write_pair
from support.s3.store import Store
from torch import nn
from transformers import BertConfig, BertModel, BertTokenizerFast

QUICK = {"train.epochs": 1, "train.batch_size": 4, "optim.warmup": 0}
CLIPPED = {"train.clip": 1.0, "train.patience": 3}
LOCKED = {"lock.image": True, "lock.image_unlocked": 1, "lock.text": True, "lock.text_unlocked": 1}


def runs(folder: Path) -> Iterator[dict[str, Any]]:
    pairs, texts, weights = write_pairs(folder / "pairs"), write_text_encoder(folder / "bert"), folder / "custom.ckpt"
    form = write_model(folder / "tiny.json")
    model = {"model.name": form}
    towers = {
        "image.encoder": "timm/test_resnet.r160_in1k",
        "image.pretrained": "",
        "image.size": 32,
        "text.encoder": texts,
        "text.context": 12,
    }
    torch.save({"state_dict": custom_wrapper(texts), "hyper_parameters": {}}, weights)
    data = {"dataset_path": pairs, "data.workers": 0}
    yield {
        "command": "train",
        **QUICK,
        **model,
        "train.batch_size": 5,
        "data.module": "own_data_module:Module",
        "data.module_options": "{workers: 0}",
    }
    yield from streamed(pairs, folder, model)
    yield {"command": "train", **data, **QUICK, **model, **CLIPPED, **LOCKED, "augment.color_jitter": "[0.1, 0.1, 0.1]"}
    yield {"command": "finetune", **data, **QUICK, **towers, **CLIPPED, "lock.image": True, "lock.text": True, "width": 24}
    yield {"command": "finetune_vpt", **data, **QUICK, **model, **CLIPPED}
    yield {"command": "make_npz", **data, **model}
    yield {"command": "evaluate", **data, **towers, "init_from": weights, "zero_shot.classes": "[tabletop_colours]"}
    yield {"command": "evaluate", **data, **model}
    yield from embedded(pairs, folder, {**towers, "init_from": weights}, model)
    yield {"command": "export", "init_from": folder / "outputs" / "further-1" / "weights.pt", "name": form}


def embedded(pairs: Path, folder: Path, wrapped: dict[str, Any], model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tables of images, captions and texts, and searches in a table and in a folder."""
    (folder / "texts.txt").write_text("a red square\na blue square\n")
    table, here = folder / "table.npz", {"embed.workers": 0}
    yield {"command": "embed", "dataset_path": pairs, "output": table, **wrapped, **here}
    yield {"command": "embed", "texts": folder / "texts.txt", **model, **here}
    yield {"command": "embed", "dataset_path": pairs, "what": "captions", **model, **here}
    image = next(pairs.rglob("*.png"))
    yield {"command": "search", "table": table, "root": pairs, "query": "a red square", "query_image": image, **wrapped}
    yield {"command": "search", "dataset_path": pairs, "query": "a red square", **model, **here}


def write_pairs(folder: Path) -> Path:
    """Six pairs to train on and four held out."""
    for number in range(10):
        write_pair(folder / ("train" if number < 6 else "heldout"), f"{number}", "red", list(COLOURS)[1 + number % 4])
    return folder


def write_model(path: Path) -> Path:
    """A model of open_clip's form for images as small as those of `own_data_module`."""
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}))
    return path


def write_text_encoder(folder: Path) -> Path:
    """A transformer of one layer and random weights, as transformers writes it."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "square", "on", "around", *COLOURS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **shape)).save_pretrained(folder)
    return folder


def custom_wrapper(texts: Path) -> dict[str, torch.Tensor]:
    """The weights of a CustomCLIPWrapper, which are not all that is needed: the encoders are settings."""
    wrapper = nn.Module()
    wrapper.visual, wrapper.transformer = timm.create_model("test_resnet", num_classes=32), BertModel.from_pretrained(texts)
    wrapper.logit_scale = nn.Parameter(torch.tensor(2.0))
    return {f"{part}.{name}": value for part in ("model", "teacher") for name, value in wrapper.state_dict().items()}


def streamed(pairs: Path, folder: Path, model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A training on pairs that stay in an S3 store."""
    store = Store(folder / "s3")
    os.environ |= {**store.environment(), "HARNESS_CACHE": str(folder / "cache"), "AWS_EC2_METADATA_DISABLED": "true"}
    address = f"s3://{store.bucket()}/pairs"
    for path in filter(Path.is_file, pairs.rglob("*")):
        store.put(f"{address}/{path.relative_to(pairs).as_posix()}", path.read_bytes())
    try:
        yield {"command": "train", **QUICK, **model, "data.stream": address, "data.workers": 0}
    finally:
        store.stop()
