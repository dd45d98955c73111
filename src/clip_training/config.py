"""Settings of all commands, importable without torch. The defaults of training are the paper's for ViT-B/32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.params import setting
from harness.torch.config import Resumable, non_finite, precision
from harness.torch.models import SMALL, problem_of_model

from .checks import problem_of_jitter, problem_of_randaugment, problem_of_share, problem_of_validated_share
from .texts import Reading, problem_of_encoding

FORMATS = ("auto", "folder", "shards", "table")
"""Of a dataset of pairs."""
STATE_DTYPES = ("fp32", "bf16", "int8")
"""Of AdamW's statistics."""
LOSSES = ("clip", "siglip")
TABLES = (".npz", ".csv")
"""Suffixes of tables of embeddings."""
MONITORS = ("recall@1/image to text", "recall@1/text to image", "loss/held out")
"""What early stopping can watch, by the names of the reported scalars."""
CLASS_SETS = {path.stem: path for path in sorted((Path(__file__).parent / "classes").glob("*.yaml"))}
"""Sets of classes that come with this package, by name."""
RESUMABLE = Resumable(
    length="train.epochs",
    limits=frozenset({"train.max_steps"}),
    free=frozenset({
        "data.workers", "data.keep_in_memory", "data.cache_gb", "train.micro_batch", "train.checkpointing", "train.channels_last",
        "train.compile", "train.deterministic", "train.non_finite", "train.report_every", "train.validate_every",
        "train.val_check_interval", "train.limit_val_batches", "train.checkpoint_every", "train.debug_images",
    }),
)  # fmt: skip
"""Of every training command. With batch normalisation `train.micro_batch` changes the result: see `training_loop.identity_of`."""
VALIDATION = frozenset({"train.validate_every", "train.val_check_interval", "train.limit_val_batches"})
"""When and on what is validated; early stopping depends on it."""


def resumable(loop: LoopConfig) -> Resumable:
    """Which settings of a training may differ when it is resumed."""
    return replace(RESUMABLE, free=RESUMABLE.free - VALIDATION) if loop.patience else RESUMABLE


def warmup_steps(default: int) -> int:
    """The field `warmup` of an optimizer's settings; see `optim.warmup_within`."""
    meaning = "length of the learning rate's linear warm-up from 0; a run that is not longer warms up for a tenth of its steps"
    steps: int = setting(default, meaning, unit="optimizer steps", ge=0)
    return steps


def problem_of_output(name: str) -> str | None:
    """What is wrong with the name of a table to write, for checking settings."""
    return None if not name or name.endswith(TABLES) else f"must end in {' or '.join(TABLES)}"


@dataclass
class ModelConfig:
    """Which model, and its initial weights."""

    name: str = setting(
        "ViT-B-32",
        f"model: one of open_clip's, a small one of this project ({', '.join(SMALL)}), or a JSON file in open_clip's format",
        check=problem_of_model,
    )
    pretrained: str = setting("", "initial weights: a file, a folder of transformers, or a tag of open_clip (downloaded); empty: random")


@dataclass
class DataConfig:
    """How pairs are read."""

    heldout: float = setting(0.1, "share of pairs to hold out, unless the dataset states its own split (train/ and heldout/)", gt=0, lt=1)
    split_seed: int = setting(0, "seed that selects the held-out pairs; separate from seed, so that runs with other seeds compare", ge=0)
    workers: int = setting(4, "data-loading processes per rank; 0 loads in the rank's own process", ge=0)
    keep_in_memory: bool = setting(False, "keep decoded images in memory; for small datasets, with workers=0")
    format: str = setting(
        "auto",
        "dataset format: folder (a.jpg with a.txt), shards (WebDataset's .tar), table (.csv or .tsv); auto detects it",
        choices=FORMATS,
    )
    image_column: str = setting(Reading.image, "table column with image paths, relative to the table")
    caption_column: str = setting(
        Reading.caption,
        "table column with captions, one per row (an image may have several rows); also the caption's key in a shard's .json",
    )
    encoding: str = setting(
        Reading.encoding, "text encoding of captions, tables and lists: utf-16, latin-1, cp1252, gb18030, ...", check=problem_of_encoding
    )
    stream: str = setting("", "s3://bucket/prefix to stream the data from during training, instead of downloading all of dataset_id first")
    cache_gb: float = setting(10.0, "disk space for caching streamed data; 0 caches nothing", unit="GB", ge=0, when="stream")
    module: str = setting("", "your own LightningDataModule as package.module:Class; its batches must start with images and texts")
    module_options: dict[str, Any] = setting({}, "keyword arguments for data.module: {key: value}", when="module")


@dataclass
class OptimConfig:
    """AdamW, with linear warm-up and cosine decay."""

    lr: float = setting(0.0, "peak learning rate; 0 uses the paper's for the model, or 5e-4 for a model that is not in the paper", ge=0)
    weight_decay: float = setting(0.2, "weight decay; gains, biases and logit_scale do not decay", ge=0)
    beta1: float = setting(0.9, "decay rate of the running mean of gradients", ge=0, lt=1)
    beta2: float = setting(
        0.0, "decay rate of the running mean of squared gradients; 0 uses the paper's: 0.98 for ViT, 0.999 for ResNet", ge=0, lt=1
    )
    eps: float = setting(0.0, "AdamW's epsilon; 0 uses the paper's: 1e-6 for ViT, 1e-8 for ResNet", ge=0)
    warmup: int = warmup_steps(2000)
    state_dtype: str = setting("fp32", "data type of AdamW's two statistics: 8, 4 or 2 bytes per weight", choices=STATE_DTYPES)
    text_weights: str = setting(
        "fp32",
        "data type of the text tower's weights; bf16 also computes in bf16, and rounds stochastically after each step",
        choices=("fp32", "bf16"),
    )


@dataclass
class AugmentConfig:
    """How training images are varied. Nothing here applies to held-out images."""

    area: float = setting(0.75, "smallest share of an image's area that its random square crop covers", gt=0, le=1)
    hflip: float = setting(0.0, "probability of a horizontal flip; captions that say left or right become wrong", ge=0, le=1)
    randaugment: str = setting(
        "",
        "timm's RandAugment, such as rand-m9-n2-mstd0.5; it rotates, shears, shifts and changes colours, which captions may name",
        check=problem_of_randaugment,
    )
    color_jitter: list[float] = setting(
        [], "largest change of [brightness, contrast, saturation] or [.., hue], each as a factor", check=problem_of_jitter, ge=0
    )
    color_jitter_prob: float = setting(1.0, "probability of the colour jitter", ge=0, le=1, when="color_jitter")
    gray_scale_prob: float = setting(0.0, "probability of removing the colours", ge=0, le=1)


@dataclass
class LockConfig:
    """Which weights stay as they are, as in LiT (Zhai et al. 2022, arXiv:2111.07991), with open_clip's meanings."""

    image: bool = setting(False, "lock the image tower: its weights stay as they are (LiT); a projection added by finetune is not locked")
    image_unlocked: int = setting(
        0, "groups at the image tower's end that stay unlocked: the projection, then blocks from the last one on", ge=0, when="image"
    )
    bn_stats: bool = setting(False, "freeze the statistics of batch normalisation in what is locked of the image tower", when="image")
    text: bool = setting(False, "lock the text tower: its weights stay as they are")
    text_unlocked: int = setting(0, "groups at the text tower's end that stay unlocked", ge=0, when="text")


@dataclass
class RatesConfig:
    """Learning rates of the parts of a model, as factors of `optim.lr`."""

    image: float = setting(1.0, "factor of the image tower's learning rate", gt=0)
    text: float = setting(1.0, "factor of the text tower's learning rate", gt=0)
    layer_decay: float = setting(1.0, "factor of a block's learning rate relative to the block after it (timm's layer decay)", gt=0, le=1)


@dataclass
class LoopConfig:
    """Length, batch, precision and reporting of training."""

    epochs: int = setting(32, "passes over the training pairs", ge=1)
    max_steps: int = setting(0, "end after so many steps if train.epochs have more, with the schedule to match; 0: no limit", ge=0)
    limit_train_batches: int | float = setting(
        1.0, "batches of an epoch: a share (1.0: all), or a whole number (1: one batch)", check=problem_of_share
    )
    limit_val_batches: int | float = setting(
        1.0, "the same for held-out pairs, per process; recall is then over fewer pairs, which is easier", check=problem_of_validated_share
    )
    fast_dev_run: int = setting(
        0, "dry run of so many steps and held-out batches: writes no checkpoint, and no weights that others take; 0: a full run", ge=0
    )
    batch_size: int = setting(256, "batch size per process; the loss contrasts the pairs of all processes", unit="pairs", ge=2)
    micro_batch: int = setting(
        0, "train with any batch size in the memory of this many pairs, by exact gradient caching; 0 turns it off", unit="pairs", ge=0
    )
    loss: str = setting("clip", "loss: clip (softmax over the batch) or siglip (sigmoid of each pair)", choices=LOSSES)
    clip: float = setting(0.0, "largest norm of the whole gradient; 0 clips nothing", ge=0)
    clip_by: str = setting("norm", "clip the norm, or each value", choices=("norm", "value"), when="clip")
    precision: str = precision()
    checkpointing: bool = setting(False, "recompute activations in the backward pass: less memory, about a third more time")
    channels_last: bool = setting(False, "store images with channels last: faster convolutions on GPUs")
    compile: bool = setting(False, "compile both towers with torch.compile: faster steps after minutes of compilation")
    deterministic: bool = setting(False, "use deterministic algorithms only: the same bits in every run, but slower on a GPU")
    non_finite: str = non_finite()
    report_every: int = setting(10, "interval between reported values", unit="steps", ge=1)
    validate_every: int = setting(1, "interval between validations", unit="epochs", ge=1)
    val_check_interval: int | float = setting(
        1.0, "interval between validations within an epoch that has any: a share of it, or a whole number of steps", check=problem_of_share
    )
    patience: int = setting(0, "end after so many validations in a row without improvement of train.monitor; 0: never early", ge=0)
    monitor: str = setting(MONITORS[0], "what early stopping watches", choices=MONITORS, when="patience")
    min_delta: float = setting(0.0, "smallest change that is an improvement", ge=0, when="patience")
    checkpoint_every: int = setting(500, "interval between checkpoints", unit="steps", ge=1)
    debug_images: int = setting(12, "number of held-out images shown with their best-matching captions", ge=0, le=60)


@dataclass
class TrainConfig:
    """All settings of `command=train`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    lock: LockConfig = field(default_factory=LockConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)
    train: LoopConfig = field(default_factory=LoopConfig)


@dataclass
class ImageEncoderConfig:
    """Any image encoder."""

    encoder: str = setting("timm/resnet50", "image encoder: timm/NAME, torchvision/NAME, or open_clip/NAME for a CLIP's image tower")
    pretrained: str = setting(
        "default", "the image encoder's weights: default (its library's, downloaded), a tag of open_clip, or a file; empty means random"
    )
    size: int = setting(0, "side length of the images; 0 uses the encoder's own", unit="pixels", ge=0)


@dataclass
class TextEncoderConfig:
    """Any text encoder of Hugging Face's transformers."""

    encoder: str = setting("", "text encoder: a folder with config, weights and tokenizer, or a name on huggingface.co (downloaded)")
    pretrained: bool = setting(True, "use the text encoder's pretrained weights; false starts from random ones")
    avg_word_embs: bool = setting(
        True, "embed a text as the mean of its words' last hidden states; false uses the pooled output, or the first hidden state"
    )
    context: int = setting(77, "maximum length of a text; longer ones are truncated", unit="tokens", ge=2)


@dataclass
class EvaluationConfig:
    """What a model is evaluated on."""

    data: str = setting(
        "auto",
        "kind of data: pairs, or classes (one sub-folder of images per class); auto detects it",
        choices=("auto", "pairs", "classes"),
    )
    pairs: str = setting(
        "heldout",
        "what to evaluate on: heldout (the pairs that training holds out; of folders of classes in train/ and val/, val) or all",
        choices=("heldout", "all"),
    )
    batch_size: int = setting(64, "batch size of the evaluation", unit="images", ge=1)
    precision: str = precision()
    debug_images: int = setting(12, "number of images shown with their best captions or classes", ge=0, le=60)


@dataclass
class ZeroShotConfig:
    """Classes as words."""

    classes: list[str] = setting(
        [],
        f"class sets: imagenet, {', '.join(CLASS_SETS)}, or files: text (one class per line), YAML or JSON (a list, or class: words); "
        "a pair belongs to the classes that its caption names; with folders of classes, the first set explains the folders' names",
    )
    templates: str = setting(
        "openai", "prompt templates: openai (80), simple (7), photo, name, a sentence with {} in it, or a file with one template per line"
    )


@dataclass
class EvaluateConfig:
    """All settings of `command=evaluate`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    evaluate: EvaluationConfig = field(default_factory=EvaluationConfig)
    zero_shot: ZeroShotConfig = field(default_factory=ZeroShotConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    """`image` and `text` describe the encoders in a CustomCLIPWrapper's file, which does not name them."""
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)


@dataclass
class EmbeddingConfig:
    """How a model is run over many images or texts."""

    batch_size: int = setting(64, "batch size of the model", unit="images or texts", ge=1)
    workers: int = setting(4, "data-loading processes; 0 loads in the run's own process", ge=0)
    precision: str = precision()


@dataclass
class EmbedConfig:
    """All settings of `command=embed`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    what: str = setting("images", "what to embed of the folder: its images, or the captions of its pairs", choices=("images", "captions"))
    texts: str = setting("", "file of texts to embed, one per line, instead of a folder")
    encoding: str = setting(Reading.encoding, "text encoding of texts and captions", check=problem_of_encoding)
    output: str = setting(
        "", "table to write: .npz (numpy's), or .csv for other programs; empty: embeddings.npz in the run's folder", check=problem_of_output
    )
    dtype: str = setting("fp32", "data type of the stored embeddings: 4 or 2 bytes per dimension", choices=("fp32", "fp16"))
    embed: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    """As in EvaluateConfig, `image` and `text` describe the encoders in a CustomCLIPWrapper's file."""
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)


@dataclass
class SearchConfig:
    """All settings of `command=search`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    table: str = setting("", "table of command=embed to search, or its run's folder, instead of a folder of images")
    root: str = setting("", "folder of the table's images, if it is no longer where they were embedded", when="table")
    query: str = setting("", "sentence to search by, or a .txt file with one per line")
    query_image: str = setting("", "image file to search by, or a .txt file with one path per line")
    k: int = setting(12, "number of results for each query", ge=1)
    pictures: int = setting(12, "number of best images shown for each query", ge=0, le=60)
    exact: bool = setting(False, "compare with every embedding; by default, tables of over 100,000 get an index, which may miss a few")
    embed: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def problems(self) -> Iterator[str]:
        """What is missing in these settings."""
        if not self.query and not self.query_image:
            yield "query is required: a sentence, or a .txt file with one per line (or query_image=FILE)"


@dataclass
class NpzConfig:
    """All settings of `command=make_npz`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    crop: str = setting(
        "centre",
        "crop of the training images: centre (as in evaluation) or random (drawn once and stored); held-out images are always centred",
        choices=("centre", "random"),
    )
    out: str = setting(
        "", "output folder for img/, text/ and npz/; empty uses data/ in the run's folder; the dataset's own folder only gets npz/ added"
    )


@dataclass
class PromptConfig:
    """Visual prompts."""

    tokens: int = setting(20, "number of learned prompt tokens per block", ge=1)
    deep: bool = setting(True, "learn separate prompts for each block but the last; false passes one set through all blocks")
    dropout: float = setting(0.2, "dropout probability of prompt entries during training", ge=0, lt=1)


@dataclass
class PromptOptimConfig(OptimConfig):
    """AdamW for prompts: few new weights on a frozen model."""

    lr: float = setting(2e-3, "peak learning rate", gt=0)
    weight_decay: float = setting(0.01, "weight decay of the prompts; nothing else decays", ge=0)
    warmup: int = warmup_steps(20)


@dataclass
class PromptLoopConfig(LoopConfig):
    """Shorter than training a whole model."""

    epochs: int = setting(10, "passes over the training pairs", ge=1)
    batch_size: int = setting(64, "batch size per process; the loss contrasts the pairs of all processes", unit="pairs", ge=2)


@dataclass
class VptConfig:
    """All settings of `command=finetune_vpt`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    vpt: PromptConfig = field(default_factory=PromptConfig)
    optim: PromptOptimConfig = field(default_factory=PromptOptimConfig)
    train: PromptLoopConfig = field(default_factory=PromptLoopConfig)


@dataclass
class ExportConfig:
    """All settings of `command=export`; init_from names the file to export."""

    name: str = setting(
        "", "open_clip's name of the model, or a JSON file; empty infers the model from the weights' shapes", check=problem_of_model
    )
    format: str = setting("pt", "file to write (pt, safetensors), or folder (huggingface)", choices=("pt", "safetensors", "huggingface"))


@dataclass
class DistillationConfig:
    """Soft targets from a moving average of the model. The defaults are train-CLIP's form (after Cheng et al. 2021, arXiv:2104.08945);
    configs/clip/otter.yaml is the form of OTTER's code (Wu et al. 2022, arXiv:2112.09445).
    """

    momentum: float = setting(0.999, "momentum of the teacher, which is an exponential moving average of the model", ge=0, le=1)
    momentum_warmup: bool = setting(False, "follow faster at first: after n steps the momentum is at most (n + 2) / (n + 11)")
    eps: float = setting(0.05, "temperature of the soft targets (lambda in OTTER); smaller values make them harder", gt=0)
    iterations: int = setting(3, "number of iterations of Sinkhorn's normalisation, each of columns and then rows", ge=1)
    rows_first: bool = setting(False, "normalise the rows once before the iterations")
    remove_diagonal: bool = setting(False, "leave the matching pairs out of the soft targets, which then say only what else is similar")
    own_temperature: bool = setting(False, "compare with the soft targets at a learned temperature of its own, not that of the contrast")
    logit_scale: float = setting(
        math.log(1 / 0.07),
        "initial logarithm of the logit scales: its own, and the contrast's unless a file gives that",
        ge=0,
        le=math.log(100),
    )
    alpha: float = setting(
        0.5, "loss = alpha x contrast + (1 - alpha) x weight x divergence, each summed over image to text and text to image", ge=0, le=1
    )
    weight: float = setting(1.0, "weight of the divergence from the soft targets in the loss; 0 trains without a teacher", ge=0)


@dataclass
class SgdConfig:
    """Stochastic gradient descent, with linear warm-up and cosine decay."""

    lr: float = setting(3e-3, "peak learning rate", gt=0)
    momentum: float = setting(0.9, "momentum of SGD", ge=0, lt=1)
    weight_decay: float = setting(0.0, "weight decay; gains, biases and logit_scale do not decay", ge=0)
    warmup: int = warmup_steps(100)


@dataclass
class FinetuneLoopConfig(LoopConfig):
    """Shorter than training from scratch."""

    epochs: int = setting(10, "passes over the training pairs", ge=1)


@dataclass
class FinetuneConfig:
    """All settings of `command=finetune`."""

    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    width: int = setting(512, "dimension of the joint embedding space, into which each encoder is linearly projected", ge=2)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    lock: LockConfig = field(default_factory=LockConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optim: SgdConfig = field(default_factory=SgdConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)
    train: FinetuneLoopConfig = field(default_factory=FinetuneLoopConfig)


TrainingConfig = TrainConfig | FinetuneConfig | VptConfig
"""Settings of any command that trains."""
