"""Settings of the commands, by the original's names; importable without PyTorch and PyBullet."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.settings import setting
from harness.torch.config import Resumable, non_finite
from harness.torch.models import problem_of_model

from .agents.catalog import FUSIONS, STREAM_FUSIONS
from .agents.catalog import names as agents
from .tasks import MODES, groups, names

TASKS = tuple(names())
GROUPS = tuple(groups())
AGENTS = tuple(agents())


RESUMABLE = Resumable(
    length="train.n_steps",
    free=frozenset({
        "dataset.cache", "dataset.cache_mib", "train.save_steps", "train.workers", "train.deterministic", "train.non_finite",
        "train.report_every", "train.validate_every", "train.checkpoint_every", "train.debug_images",
    }),
)  # fmt: skip
"""Of `train` and `finetune`."""


@dataclass
class AugmentConfig:
    """How a height map is turned and shifted for training."""

    theta_sigma: float = setting(60.0, "standard deviation of the rotation", unit="degrees", ge=0)


@dataclass
class DatasetConfig:
    """How demonstrations are read."""

    cache: bool = setting(True, "keep episodes in memory, up to cache_mib")
    cache_mib: int = setting(512, "memory that a process gives to the episodes it keeps", unit="MiB", ge=0)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class RecordConfig:
    """Videos of episodes."""

    save_video: bool = setting(False, "an mp4 per episode; every frame is rendered, which is slow")
    save_video_path: str = setting("", "their folder; empty is videos/ beside the data or the checkpoints, or in the run's folder")
    add_text: bool = setting(True, "write the instruction below the picture")
    fps: int = setting(20, "of the video; a second of it is a second of the simulation", unit="frames/s", ge=1, le=120)
    video_height: int = setting(640, "of the picture", unit="pixels", ge=16, le=4096)
    video_width: int = setting(720, "of the picture", unit="pixels", ge=16, le=4096)


@dataclass
class DemosConfig:
    """Settings of `command=demos`."""

    data_dir: str = setting("", "where `<task>-<mode>` is written; empty is data/ in the run's folder, by hand in $CLIPORT_ROOT")
    assets_root: str = setting("", "folder of the robot's meshes; empty is the package's own")
    disp: bool = setting(False, "show PyBullet's window")
    task: str = setting("packing-boxes-pairs-seen-colors", "a task, or a group for each of its tasks", choices=TASKS + GROUPS)
    mode: str = setting("train", "which seeds: even from 0, odd from 1, odd from 10001", choices=MODES)
    n: int = setting(1000, "demonstrations that there shall be in the end", unit="episodes", ge=1)
    n_val: int = setting(0, "with mode=train: make so many of mode val as well", unit="episodes", ge=0)
    n_test: int = setting(0, "with mode=train: make so many of mode test as well", unit="episodes", ge=0)
    save_data: bool = setting(True, "False tries the oracle and keeps nothing")
    workers: int = setting(1, "processes; 0 is one per core. The result does not depend on it", ge=0, le=256)
    attempts: int = setting(20, "seeds tried in a row without a success before giving up", ge=1)
    renderer: str = setting(
        "auto", "of the cameras: EGL where it works, else PyBullet's software renderer", choices=("auto", "egl", "tiny")
    )
    debug_images: int = setting(12, "episodes whose height maps are shown beside the run", ge=0, le=100)
    record: RecordConfig = field(default_factory=lambda: RecordConfig(add_text=False))


@dataclass
class ModelConfig:
    """The agent's sizes, and where frozen weights come from. A size that is not stated is that of `size`."""

    size: str = setting("faithful", "the original's sizes, or small ones for a CPU", choices=("faithful", "small"))
    height: int | None = setting(
        None, "rows of the image that the agent sees, columns half as many: 320 or 160", unit="pixels", ge=160, le=320
    )
    width: int | None = setting(None, "of the networks' first stage: 64 or 8 by size", unit="channels", ge=4)
    depth: int | None = setting(None, "of every stage: 2 or 1 by size", unit="residual blocks", ge=1, le=8)
    crop_size: int | None = setting(None, "side of the kernel: 64 or 32 by size", unit="pixels", ge=32, le=128)
    rotate: str | None = setting(
        None,
        "turn the image around the pick, then encode it, or turn its features: crops or features by size",
        choices=("crops", "features"),
    )
    pad_pick: bool | None = setting(None, "pad the image to a square for the pick, as the original: True or False by size")
    oversample: bool | None = setting(
        None, "end the deeper networks at twice the image's resolution, as the original: True or False by size"
    )
    up_norm: bool = setting(True, "normalise in the decoders' up blocks, as the published checkpoints do")
    clip: str | None = setting(
        None, "a ResNet of open_clip, or tiny-resnet, a small one: RN50-quickgelu or tiny-resnet by size", check=problem_of_model
    )
    clip_weights: str = setting("openai", "of the frozen CLIP: a file, a tag that open_clip can fetch, or random; unreachable is random")
    bert: str = setting("", "folder of DistilBERT for the *_bert_* agents and transporter_lang; empty is random weights")
    resnet_weights: str = setting("", "file of ImageNet's ResNet-50 for the *_rn50_* agents; empty is random weights")


SAVE_STEPS = (1, 2, 3, 4, 5, 7, 10, 20, 40, 80, 120, 160, 200, 300, 400, 500, 600, 800, 1000, 1200)  # thousands


@dataclass
class LoopConfig:
    """What is learned from what, how long, and where it is kept."""

    task: str = setting("packing-boxes-pairs-seen-colors", "a task, or a multi-task group", choices=TASKS + GROUPS)
    agent: str = setting("cliport", "which agent learns", choices=AGENTS)
    n_demos: int = setting(1000, "demonstrations to learn from; of a group: of each task", unit="episodes", ge=1)
    n_val: int = setting(100, "demonstrations to validate on, one scene of each", unit="episodes", ge=1)
    n_steps: int = setting(201000, "of training in all", unit="optimizer steps", ge=1)
    n_rotations: int | None = setting(None, "angles of the place: 36 or 12 by model.size", ge=1, le=360)
    batchnorm: bool = setting(False, "batch normalisation in the residual blocks; with larger batches only")
    lr: float = setting(1e-4, "Adam's learning rate", gt=0)
    lr_decay: float = setting(0.0, "share of the steps, at the end, over which the learning rate falls evenly to 0", ge=0, le=1)
    attn_stream_fusion_type: str = setting("add", "of the two streams, for the pick", choices=STREAM_FUSIONS)
    trans_stream_fusion_type: str = setting("conv", "of the two streams, for the place", choices=STREAM_FUSIONS)
    lang_fusion_type: str = setting("mult", "of the instruction with the image's features", choices=FUSIONS)
    val_repeats: int = setting(1, "scenes taken of every demonstration of the validation", ge=1)
    save_steps: list[int] = setting(
        [1000 * step for step in SAVE_STEPS], "steps after which a checkpoint is kept for good, with its validation loss", ge=1
    )
    batch_size: int = setting(1, "of each process", unit="samples", ge=1)
    workers: int = setting(4, "loader processes of each rank; 0 loads in the rank itself", ge=0, le=64)
    augment: bool = setting(True, "turn and shift every sample by dataset.augment")
    instructions: str = setting("given", "shuffled gives every sample another one's instruction: a control", choices=("given", "shuffled"))
    precision: str = setting("fp32", "of activations; the halves are mixed precision", choices=("fp32", "bf16", "fp16"))
    deterministic: bool = setting(False, "the same bits on every run, also on a GPU, where it is slower")
    non_finite: str = non_finite()
    report_every: int = setting(10, "between two points of a curve", unit="steps", ge=1)
    validate_every: int | None = setting(None, "between two validations; by default a fiftieth of the run", unit="steps", ge=1)
    checkpoint_every: int = setting(1000, "between two checkpoints of the whole state", unit="steps", ge=1)
    debug_images: int = setting(6, "scenes of the validation whose heat maps are shown", ge=0, le=60)


@dataclass
class TrainConfig:
    """All settings of `command=train` and `command=finetune`."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    train: LoopConfig = field(default_factory=LoopConfig)
    model: ModelConfig = field(default_factory=ModelConfig)


@dataclass
class FrozenConfig:
    """Where frozen weights are, when not where the training found them; empty asks the checkpoint."""

    clip_weights: str = setting("", "CLIP's: a file, a tag that open_clip can fetch, or random")
    bert: str = setting("", "folder of DistilBERT")
    resnet_weights: str = setting("", "file of ImageNet's ResNet-50")


@dataclass
class EvalConfig:
    """Settings of `command=eval`."""

    mode: str = setting("val", "which demonstrations' scenes", choices=MODES)
    agent: str = setting("cliport", "the agent's name, a part of the paths", choices=AGENTS)
    n_demos: int = setting(100, "scenes to try", unit="episodes", ge=1)
    train_demos: int = setting(1000, "how many demonstrations the agent learned from; a part of the paths", unit="episodes", ge=1)
    n_repeats: int = setting(1, "how often every scene is tried", ge=1)
    gpu: list[int] = setting([0], "the GPU to use, where there is one")
    save_results: bool = setting(True, "write the results file")
    update_results: bool = setting(False, "evaluate checkpoints again that the results file has")
    checkpoint_type: str = setting("val_missing", "val_missing, test_best, last, best, or a part of a name: a step such as 05000")
    val_on_heldout: bool = setting(True, "with a group: its held-out tasks; False takes those that it trains on")
    eval_task: str = setting("packing-boxes-pairs-seen-colors", "a task, or a group", choices=TASKS + GROUPS)
    model_task: str = setting("", "what the agent was trained on; empty is eval_task", choices=("", *TASKS, *GROUPS))
    model_dir: str = setting("", "folder that holds exp_folder; by hand $CLIPORT_ROOT")
    exp_folder: str = setting("exps", "folder of the experiments")
    assets_root: str = setting("", "folder of the robot's meshes; empty is the package's own")
    disp: bool = setting(False, "show PyBullet's window")
    model_path: str = setting(
        "", "checkpoints' folder, or one file; empty is init_from, or <exp>/<model_task>-<agent>-n<train_demos>-train/checkpoints"
    )
    train_config: str = setting("", "settings of the original's training, for its checkpoints; empty is .hydra/config.yaml of the run")
    save_path: str = setting(
        "",
        "folder of the results; empty is results/ in the run's folder, by hand <exp>/<eval_task>-<agent>-n<train_demos>-train/checkpoints",
    )
    results_path: str = setting("", "folder of the validation's results for test_best; empty is save_path")
    renderer: str = setting(
        "auto", "of the cameras: EGL where it works, else PyBullet's software renderer", choices=("auto", "egl", "tiny")
    )
    debug_images: int = setting(12, "scenes shown beside the run as they ended", ge=0, le=100)
    record: RecordConfig = field(default_factory=RecordConfig)
    model: FrozenConfig = field(default_factory=FrozenConfig)
