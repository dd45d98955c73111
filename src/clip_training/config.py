"""Settings of `command=train`, importable without torch. The defaults are the paper's for ViT-B/32."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.params import setting
from harness.torch.config import Resumable, non_finite
from harness.torch.models import problem_of_model

from .texts import problem_of_encoding

RESUMABLE = Resumable(
    length="train.epochs",
    free=frozenset({
        "data.workers", "data.keep_in_memory", "data.cache_gb", "train.micro_batch", "train.checkpointing", "train.channels_last",
        "train.compile", "train.deterministic", "train.non_finite", "train.report_every", "train.validate_every",
        "train.checkpoint_every", "train.debug_images",
    }),
)  # fmt: skip
"""Of every training of this package. With batch normalisation `train.micro_batch` is no matter of rounding: see `running.identity_of`."""


@dataclass
class ModelConfig:
    """Which model, and where its weights start."""

    name: str = setting(
        "ViT-B-32", "an open_clip model, one of src/harness/torch/models/, or a JSON file in open_clip's form", check=problem_of_model
    )
    pretrained: str = setting("", "weights to start from: a tag that open_clip knows (downloaded), or a file; empty is random")


@dataclass
class DataConfig:
    """How pairs are read."""

    heldout: float = setting(0.1, "share of the pairs held out, where the folder has no train/ and heldout/", gt=0, lt=1)
    split_seed: int = setting(0, "which pairs are held out; apart from seed, so that runs of several seeds compare", ge=0)
    workers: int = setting(4, "loader processes of each rank; 0 loads in the rank itself", ge=0)
    keep_in_memory: bool = setting(False, "keep decoded images in memory: for small sets, with workers=0")
    format: str = setting(
        "auto",
        "folder: a.jpg and a.txt; shards: WebDataset's .tar; table: .csv or .tsv; auto: shards or a table where there are, else folder",
        choices=("auto", "folder", "shards", "table"),
    )
    image_column: str = setting("filepath", "of a table: image files, named relative to it")
    caption_column: str = setting("title", "of a table: one caption; several rows of an image are several; also a key of a shard's .json")
    encoding: str = setting("utf-8", "of captions, tables and lists: utf-16, latin-1, cp1252, gb18030, ...", check=problem_of_encoding)
    stream: str = setting("", "s3://bucket/prefix to read the data from while training, in place of dataset_id, which fetches all of it")
    cache_gb: float = setting(10.0, "of the disk for what was streamed; 0 keeps nothing", unit="GB", ge=0)
    module: str = setting("", "your own LightningDataModule, package.module:Class; its batches begin with images and texts")
    module_options: dict[str, Any] = setting({}, "what data.module is made with: {key: value}")


@dataclass
class OptimConfig:
    """AdamW, with a cosine after a warm-up."""

    lr: float = setting(0.0, "highest learning rate; 0 is the paper's for the model, 5e-4 for one that is not the paper's", ge=0)
    weight_decay: float = setting(0.2, "not on gains, biases and logit_scale", ge=0)
    beta1: float = setting(0.9, "decay of the gradient's mean", ge=0, lt=1)
    beta2: float = setting(0.0, "decay of the gradient's square; 0 is the paper's: 0.98 for ViT, 0.999 for ResNet", ge=0, lt=1)
    eps: float = setting(0.0, "AdamW's epsilon; 0 is the paper's: 1e-6 for ViT, 1e-8 for ResNet", ge=0)
    warmup: int = setting(2000, "of the learning rate from 0", unit="optimizer steps", ge=0)
    state_dtype: str = setting("fp32", "of AdamW's two statistics: 8, 4 or 2 bytes per weight", choices=("fp32", "bf16", "int8"))
    text_weights: str = setting(
        "fp32", "of the text tower; bf16 also computes in it, and rounds stochastically after each step", choices=("fp32", "bf16")
    )


@dataclass
class LoopConfig:
    """How long, how often, how exactly."""

    epochs: int = setting(32, "passes over the training pairs", ge=1)
    batch_size: int = setting(256, "of each process; contrasted across all of them", unit="pairs", ge=2)
    micro_batch: int = setting(0, "a step takes the memory of so many, by exact gradient caching; 0 is the whole batch", unit="pairs", ge=0)
    loss: str = setting("clip", "softmax over the batch, or SigLIP's sigmoid of each pair", choices=("clip", "siglip"))
    precision: str = setting("fp32", "of activations; the halves are mixed precision", choices=("fp32", "bf16", "fp16"))
    checkpointing: bool = setting(False, "keep only the blocks' inputs for the backward pass: less memory, a third more time")
    channels_last: bool = setting(False, "images with their channels innermost: faster convolutions on GPUs")
    compile: bool = setting(False, "torch.compile of both towers: faster steps after minutes of preparation")
    deterministic: bool = setting(False, "the same bits on every run, also on a GPU, where it is slower")
    non_finite: str = non_finite()
    report_every: int = setting(10, "between two points of a curve", unit="steps", ge=1)
    validate_every: int = setting(1, "between two validations", unit="epochs", ge=1)
    checkpoint_every: int = setting(500, "between two checkpoints", unit="steps", ge=1)
    debug_images: int = setting(12, "held-out images shown with their best-matching captions", ge=0, le=60)


@dataclass
class TrainConfig:
    """All settings of `command=train`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: LoopConfig = field(default_factory=LoopConfig)


@dataclass
class ImageEncoderConfig:
    """Any image encoder."""

    encoder: str = setting("timm/resnet50", "timm/NAME, torchvision/NAME, or open_clip/NAME for the image tower of a CLIP")
    pretrained: str = setting("default", "its weights: default is its library's (downloaded), a tag of open_clip, a file; empty is random")
    size: int = setting(0, "side of the images; 0 is the encoder's own", unit="pixels", ge=0)


@dataclass
class TextEncoderConfig:
    """Any text encoder of Hugging Face's transformers."""

    encoder: str = setting("", "a folder with config, weights and tokenizer, or a name on huggingface.co (downloaded)")
    pretrained: bool = setting(True, "start from its weights; else from random ones")
    avg_word_embs: bool = setting(True, "a text is the mean of its words' last hidden states; else the pooled or the first one")
    context: int = setting(77, "longest text; what is longer is cut", unit="tokens", ge=2)


@dataclass
class EvaluationConfig:
    """What a model is evaluated on."""

    data: str = setting(
        "auto",
        "pairs, or folders of classes: one sub-folder of images for each; auto takes a folder with nothing but such for classes",
        choices=("auto", "pairs", "classes"),
    )
    pairs: str = setting("heldout", "the pairs that training on this data holds out, or all of them", choices=("heldout", "all"))
    batch_size: int = setting(64, "of one step", unit="images", ge=1)
    precision: str = setting("fp32", "of activations", choices=("fp32", "bf16", "fp16"))
    debug_images: int = setting(12, "images shown with their best captions or classes", ge=0, le=60)


@dataclass
class ZeroShotConfig:
    """Classes as words."""

    classes: list[str] = setting(
        [],
        "sets of classes: names below src/clip_training/classes/, imagenet, or YAML files (a list, or a mapping of class to its words); "
        "a pair's classes are those that its caption names; for folders the first set says what their names mean",
    )
    templates: str = setting("openai", "openai (80), simple (7), photo, name, a sentence with {} in it, or a file of one a line")


@dataclass
class EvaluateConfig:
    """All settings of `command=evaluate`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    evaluate: EvaluationConfig = field(default_factory=EvaluationConfig)
    zero_shot: ZeroShotConfig = field(default_factory=ZeroShotConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    """Of a CustomCLIPWrapper's file, which does not say; so is `text`."""
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)


@dataclass
class NpzConfig:
    """All settings of `command=make_npz`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    crop: str = setting(
        "centre",
        "of the training images: as for evaluation, or one random crop, frozen; held-out ones are as for evaluation",
        choices=("centre", "random"),
    )
    out: str = setting("", "where img/, text/ and npz/ are written; empty is data/ in the run's folder; the data's own folder gets npz/")


@dataclass
class PromptConfig:
    """Visual prompts."""

    tokens: int = setting(20, "learned tokens beside the image's own in a block", ge=1)
    deep: bool = setting(True, "tokens of their own for each block but the last; else those of the first go through all")
    dropout: float = setting(0.2, "probability with which an entry of a token is left out while training", ge=0, lt=1)


@dataclass
class PromptOptimConfig(OptimConfig):
    """AdamW for prompts: few weights from scratch, on a model that stays."""

    lr: float = setting(2e-3, "highest learning rate", gt=0)
    weight_decay: float = setting(0.01, "of the prompts; nothing else that is learned decays, and what is frozen does not either", ge=0)
    warmup: int = setting(20, "of the learning rate from 0", unit="optimizer steps", ge=0)


@dataclass
class PromptLoopConfig(LoopConfig):
    """Shorter than training a whole model."""

    epochs: int = setting(10, "passes over the training pairs", ge=1)
    batch_size: int = setting(64, "of each process; contrasted across all of them", unit="pairs", ge=2)


@dataclass
class VptConfig:
    """All settings of `command=finetune_vpt`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    vpt: PromptConfig = field(default_factory=PromptConfig)
    optim: PromptOptimConfig = field(default_factory=PromptOptimConfig)
    train: PromptLoopConfig = field(default_factory=PromptLoopConfig)


@dataclass
class ExportConfig:
    """All settings of `command=export`; init_from says what is exported."""

    name: str = setting(
        "", "open_clip's name of the model, or a JSON file; empty finds it by the shapes of the weights", check=problem_of_model
    )
    format: str = setting("pt", "of the file that is written", choices=("pt", "safetensors"))


@dataclass
class DistillationConfig:
    """Soft targets from a moving average of the model (Cheng et al. 2021)."""

    momentum: float = setting(0.999, "of the teacher: the share of itself that it keeps at each step", ge=0, le=1)
    eps: float = setting(0.05, "temperature of the targets: the smaller, the harder", gt=0)
    iterations: int = setting(3, "of Sinkhorn's normalisation", ge=1)
    weight: float = setting(1.0, "of the divergence from the targets, beside the contrastive loss; 0 is without a teacher", ge=0)


@dataclass
class SgdConfig:
    """Stochastic gradient descent, with a cosine after a warm-up."""

    text_weights: ClassVar[str] = "fp32"

    lr: float = setting(3e-3, "highest learning rate", gt=0)
    momentum: float = setting(0.9, "of the gradient", ge=0, lt=1)
    weight_decay: float = setting(0.0, "not on gains, biases and logit_scale", ge=0)
    warmup: int = setting(100, "of the learning rate from 0", unit="optimizer steps", ge=0)


@dataclass
class FinetuneLoopConfig(LoopConfig):
    """Shorter than training from scratch."""

    epochs: int = setting(10, "passes over the training pairs", ge=1)
    loss: str = setting("clip", "softmax over the batch: the targets are its", choices=("clip",))


@dataclass
class FinetuneConfig:
    """All settings of `command=finetune`."""

    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    width: int = setting(512, "dimensions in which image and text meet, by a linear projection of each", ge=2)
    data: DataConfig = field(default_factory=DataConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optim: SgdConfig = field(default_factory=SgdConfig)
    train: FinetuneLoopConfig = field(default_factory=FinetuneLoopConfig)
