"""Settings of `command=train`, importable without torch. The defaults are the paper's for ViT-B/32."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.params import setting


@dataclass
class ModelConfig:
    """Which model, and where its weights start."""

    name: str = setting("ViT-B-32", "an open_clip model, one of src/clip_training/models/, or a JSON file in open_clip's form")
    pretrained: str = setting("", "weights to start from: a tag that open_clip knows (downloaded), or a file; empty is random")


@dataclass
class DataConfig:
    """How pairs are read."""

    heldout: float = setting(0.1, "share of the pairs held out, where the folder has no train/ and heldout/", gt=0, lt=1)
    split_seed: int = setting(0, "which pairs are held out; apart from seed, so that runs of several seeds compare", ge=0)
    workers: int = setting(4, "loader processes of each rank; 0 loads in the rank itself", ge=0)
    keep_in_memory: bool = setting(False, "keep decoded images in memory: for small sets, with workers=0")


@dataclass
class OptimConfig:
    """AdamW, with a cosine after a warm-up."""

    lr: float = setting(5e-4, "highest learning rate", gt=0)
    weight_decay: float = setting(0.2, "not on gains, biases and logit_scale", ge=0)
    beta1: float = setting(0.9, "decay of the gradient's mean", ge=0, lt=1)
    beta2: float = setting(0.0, "decay of the gradient's square; 0 is the paper's: 0.98 for ViT, 0.999 for ResNet", ge=0, lt=1)
    eps: float = setting(0.0, "AdamW's epsilon; 0 is the paper's: 1e-6 for ViT, 1e-8 for ResNet", ge=0)
    warmup: int = setting(2000, "of the learning rate from 0", unit="optimizer steps", ge=0)


@dataclass
class LoopConfig:
    """How long, how often, how exactly."""

    epochs: int = setting(32, "passes over the training pairs", ge=1)
    batch_size: int = setting(256, "of each process; contrasted across all of them", unit="pairs", ge=2)
    precision: str = setting("fp32", "of activations; the halves are mixed precision", choices=("fp32", "bf16", "fp16"))
    deterministic: bool = setting(False, "the same bits on every run, also on a GPU, where it is slower")
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
