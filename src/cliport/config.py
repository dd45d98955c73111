"""Settings of the commands, under the original's names; importable without PyTorch and PyBullet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.settings import setting
from harness.torch.config import Resumable, non_finite, precision
from harness.torch.models import problem_of_model

from .agents.catalog import FUSIONS, STREAM_FUSIONS
from .agents.catalog import names as agents
from .agents.config import NORM_MODES, SIZES
from .data.cache import DEFAULT_MIB
from .sim.constants import BOUNDS, FRAME_RATE, GEOMETRIES, PIXEL
from .tasks import MODES, groups, names
from .tasks.outside import CLASS_FORM, HOW, RECORDED_FORM, problem_without_scene

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
"""Settings of `train` and `finetune` that may change when a run is resumed."""


def assets_root() -> Any:
    """The field `assets_root` of every command with a simulator."""
    return setting("", "folder of the robot's meshes; default: the packaged ones")


def assets() -> Any:
    """The field `assets` of every command with a simulator."""
    text = "folder of the original's scanned objects: google/meshes_fixed/*.obj and google/textures/*.png; default: stand-ins from solids"
    return setting("", text)


def disp() -> Any:
    """The field `disp` of every command with a simulator."""
    return setting(False, "show PyBullet's window")


def renderer() -> Any:
    """The field `renderer` of every command with a simulator."""
    text = "renderer of the cameras: egl, tiny (PyBullet's software renderer), or auto: egl if it works here, otherwise tiny"
    return setting("auto", text, choices=("auto", "egl", "tiny"))


def simulated_task(default: str, meaning: str, *more: str) -> Any:
    """A field that names a task or group of the simulator; `more` are allowed, too."""
    form = f"{CLASS_FORM}|{RECORDED_FORM}"  # the latter is refused with a reason
    return setting(default, f"{meaning}; {HOW}", choices=(*more, *TASKS, *GROUPS), form=form, check=problem_without_scene)


def learned_task(default: str, meaning: str, *more: str) -> Any:
    """A field that names a task or group that an agent learns; `more` are allowed, too."""
    text = f"{meaning}; {HOW}, own-NAME for demonstrations recorded with a robot"
    return setting(default, text, choices=(*more, *TASKS, *GROUPS), form=f"{CLASS_FORM}|{RECORDED_FORM}")


def default_of(name: str) -> str:
    """What the help says about an option whose default depends on `model.size`."""
    return "default: " + " or ".join(f"{size[name]} ({key})" for key, size in SIZES.items())


@dataclass
class AugmentConfig:
    """How training samples are rotated and shifted."""

    theta_sigma: float = setting(60.0, "standard deviation of the random rotation", unit="degrees", ge=0, when="train.augment")


@dataclass
class DatasetConfig:
    """How demonstrations are read."""

    cache: bool = setting(True, "keep episodes in memory, up to dataset.cache_mib")
    cache_mib: int = setting(DEFAULT_MIB, "memory for cached episodes per process", unit="MiB", ge=0, when="cache")
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class RecordConfig:
    """Videos of episodes."""

    save_video: bool = setting(False, "record an mp4 per episode; slow, because every frame is rendered")
    save_video_path: str = setting(
        "", "folder for the videos; default: videos/ in the folder of the demonstrations, the experiment or the run", when="save_video"
    )
    add_text: bool = setting(True, "write the instruction below the picture", when="save_video")
    fps: int = setting(
        FRAME_RATE, f"frame rate of the video; {FRAME_RATE} plays in real time", unit="frames/s", ge=1, le=120, when="save_video"
    )
    video_height: int = setting(640, "height of the video, without the instruction", unit="pixels", ge=16, le=4096, when="save_video")
    video_width: int = setting(720, "width of the video", unit="pixels", ge=16, le=4096, when="save_video")


@dataclass
class DemosConfig:
    """Settings of `command=demos`."""

    data_dir: str = setting("", "folder for <task>-<mode>; default: data/ in the run's folder, or in $CLIPORT_ROOT if run as a module")
    assets_root: str = assets_root()
    assets: str = assets()
    disp: bool = disp()
    task: str = simulated_task("packing-boxes-pairs-seen-colors", "task, or a group for each of its tasks")
    mode: str = setting("train", "split; train uses even seeds from 0, val odd seeds from 1, test odd seeds from 10001", choices=MODES)
    n: int = setting(1000, "total number of demonstrations", unit="episodes", ge=1)
    n_val: int = setting(0, "number of mode=val demonstrations to make as well", unit="episodes", ge=0, when="mode=train")
    n_test: int = setting(0, "number of mode=test demonstrations to make as well", unit="episodes", ge=0, when="mode=train")
    geometry: str = setting("exact", "cells of the height maps: exact, or as in the original's code", choices=GEOMETRIES)
    save_data: bool = setting(True, "keep the demonstrations; False only tries the oracle")
    workers: int = setting(1, "number of processes; 0 means one per core. The result does not depend on it", ge=0, le=256)
    attempts: int = setting(20, "give up after this many consecutive seeds that the oracle does not solve", unit="seeds", ge=1)
    renderer: str = renderer()
    debug_images: int = setting(12, "number of episodes whose height maps are shown with the run", ge=0, le=100)
    record: RecordConfig = field(default_factory=lambda: RecordConfig(add_text=False))


@dataclass
class ModelConfig:
    """The agent's sizes, and the origin of its frozen weights. A size that is None is that of `size`."""

    size: str = setting("faithful", "faithful: the original's sizes; small: sizes for a CPU", choices=tuple(SIZES))
    height: int | None = setting(
        None, f"rows of the image that the agent sees, with half as many columns; {default_of('height')}", unit="pixels", ge=160, le=320
    )
    width: int | None = setting(None, f"channels of the networks' first stage; {default_of('width')}", unit="channels", ge=4)
    depth: int | None = setting(None, f"residual blocks per stage; {default_of('depth')}", unit="residual blocks", ge=1, le=8)
    crop_size: int | None = setting(
        None, f"side of the square around the pick that is matched with the image; {default_of('crop_size')}", unit="pixels", ge=32, le=128
    )
    rotate: str | None = setting(
        None,
        f"crops: rotate the image around the pick, then encode it; features: encode it, then rotate the features; {default_of('rotate')}",
        choices=("crops", "features"),
    )
    pad_pick: bool | None = setting(None, f"pad the image to a square for the pick, as the original does; {default_of('pad_pick')}")
    oversample: bool | None = setting(
        None, f"end the deeper networks at twice the image's resolution, as the original does; {default_of('oversample')}"
    )
    up_norm: bool = setting(True, "normalize in the decoders' up blocks, as the published checkpoints do")
    geometry: str | None = setting(
        None,
        "rotation, scores and cells of the height map: exact, or as in the original's code, with its losses and validation. "
        "Default: that of init_from or of the demonstrations",
        choices=GEOMETRIES,
    )
    clip: str | None = setting(
        None, f"CLIP model: a ResNet of open_clip, or tiny-resnet, a small one; {default_of('clip')}", check=problem_of_model
    )
    clip_weights: str = setting(
        "openai", "weights of the frozen CLIP: a file, a tag that open_clip can download, or random; also random if the download fails"
    )
    clip_batchnorm: str = setting(
        "eval",
        "how the frozen image encoder normalizes in training: eval, by its own statistics, or train, by those of each batch, as the "
        "original trains; running ones are then counted for validation and evaluation",
        choices=NORM_MODES,
    )
    bert: str = setting("", "folder of DistilBERT, for *_bert_* agents and transporter_lang; empty: random weights")
    resnet_weights: str = setting("", "file with ResNet-50 weights from ImageNet, for *_rn50_* agents; empty: random weights")


SAVE_STEPS = (1, 2, 3, 4, 5, 7, 10, 20, 40, 80, 120, 160, 200, 300, 400, 500, 600, 800, 1000, 1200)  # thousands


@dataclass
class LoopConfig:
    """What the agent is trained on, for how long, and what is reported and kept."""

    task: str = learned_task("packing-boxes-pairs-seen-colors", "task, or a multi-task group")
    agent: str = setting("cliport", "agent to train", choices=AGENTS)
    n_demos: int = setting(1000, "number of demonstrations to train on; for a group: per task", unit="episodes", ge=1)
    n_val: int = setting(100, "number of demonstrations to validate on", unit="episodes", ge=1)
    n_steps: int = setting(201000, "total number of training steps", unit="optimizer steps", ge=1)
    n_rotations: int | None = setting(None, f"number of rotations for the place; {default_of('n_rotations')}", ge=1, le=360)
    batchnorm: bool = setting(False, "use batch normalization in the residual blocks; needs larger batches")
    lr: float = setting(1e-4, "learning rate of Adam", gt=0)
    lr_decay: float = setting(0.0, "final share of the steps over which the learning rate falls linearly to 0", ge=0, le=1)
    attn_stream_fusion_type: str = setting("add", "how the two streams are fused for the pick", choices=STREAM_FUSIONS)
    trans_stream_fusion_type: str = setting("conv", "how the two streams are fused for the place", choices=STREAM_FUSIONS)
    lang_fusion_type: str = setting("mult", "how the instruction is fused with the image features", choices=FUSIONS)
    val_repeats: int = setting(1, "number of steps taken from each validation demonstration", unit="samples", ge=1)
    save_steps: list[int] = setting(
        [1000 * step for step in SAVE_STEPS], "steps after which a checkpoint is kept for good, named after its validation loss", ge=1
    )
    batch_size: int = setting(1, "batch size per process", unit="samples", ge=1)
    workers: int = setting(4, "loader processes per rank; 0 loads in the rank itself", ge=0, le=64)
    augment: bool = setting(True, "rotate and shift every training sample; see dataset.augment.theta_sigma")
    resample: str = setting(
        "nearest",
        "how augmentation samples images: nearest keeps heights that exist; bilinear is what the original trains with",
        choices=("nearest", "bilinear"),
        when="augment",
    )
    instructions: str = setting(
        "given", "shuffled: give every sample the instruction of another, as a control experiment", choices=("given", "shuffled")
    )
    precision: str = precision()
    deterministic: bool = setting(False, "bit-identical results on every run, even on a GPU; slower there")
    non_finite: str = non_finite()
    report_every: int = setting(10, "steps between two points of a curve", unit="steps", ge=1)
    validate_every: int | None = setting(None, "steps between two validations; default: a fiftieth of the run", unit="steps", ge=1)
    checkpoint_every: int = setting(1000, "steps between two checkpoints of the full training state", unit="steps", ge=1)
    debug_images: int = setting(6, "number of validation scenes whose heat maps are shown", ge=0, le=60)


@dataclass
class TrainConfig:
    """All settings of `command=train` and `command=finetune`."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    train: LoopConfig = field(default_factory=LoopConfig)
    model: ModelConfig = field(default_factory=ModelConfig)


@dataclass
class FrozenConfig:
    """Where the frozen weights are, if no longer where the training found them."""

    clip_weights: str = setting(
        "", "weights of the frozen CLIP: a file, a tag that open_clip can download, or random; default: as in training"
    )
    bert: str = setting("", "folder of DistilBERT; default: as in training")
    resnet_weights: str = setting("", "file with ResNet-50 weights from ImageNet; default: as in training")


@dataclass
class WorkspaceConfig:
    """The part of the table that an agent sees; by default the simulator's."""

    bounds: list[float] = setting(
        BOUNDS.ravel().tolist(), "smallest and largest x, y and z in the frame of the camera poses; the smallest z is the table's", unit="m"
    )
    pixel: float = setting(
        PIXEL, "side of a cell of the height map, which has up to 160 along x and 320 along y; everything is scaled with it", unit="m", gt=0
    )


@dataclass
class PredictConfig:
    """Settings of `command=predict`."""

    folder: str = setting("", "a scene, or a folder of scenes: colour and depth images, camera.json and instruction.txt; or dataset_path")
    instruction: str = setting("", "what to do in every scene; default: each scene's instruction.txt, or the folder's requests.csv")
    workspace: WorkspaceConfig = field(default_factory=WorkspaceConfig)
    agent: str = setting("cliport", "the agent in a checkpoint of the original, which does not state it", choices=AGENTS)
    train_config: str = setting(
        "", "Hydra settings of the original's training, for its checkpoints; default: .hydra/config.yaml beside checkpoints/"
    )
    gpu: list[int] = setting([0], "GPU to use, if there is one; only the first is used")
    model: FrozenConfig = field(default_factory=FrozenConfig)
    debug_images: int = setting(12, "number of answers whose pictures are shown with the run; all are in its folder", ge=0, le=100)


@dataclass
class EvalConfig:
    """Settings of `command=eval`."""

    mode: str = setting("val", "split whose recorded scenes are used", choices=MODES)
    agent: str = setting("cliport", "the agent's name; part of the paths", choices=AGENTS)
    n_demos: int = setting(100, "number of scenes to try", unit="episodes", ge=1)
    train_demos: int = setting(1000, "number of demonstrations the agent was trained on; part of the paths", unit="episodes", ge=1)
    n_repeats: int = setting(1, "how often each scene is tried", ge=1)
    gpu: list[int] = setting([0], "GPU to use, if there is one; only the first is used")
    save_results: bool = setting(True, "write the results file")
    update_results: bool = setting(False, "evaluate checkpoints again that already have results")
    checkpoint_type: str = setting(
        "val_missing", "checkpoints to evaluate: val_missing, test_best, last, best, or part of a file name, such as the step 05000"
    )
    val_on_heldout: bool = setting(True, "for a group: evaluate on its held-out tasks; False: on its training tasks")
    eval_task: str = simulated_task("packing-boxes-pairs-seen-colors", "task or group to evaluate on")
    model_task: str = learned_task("", "task or group the agent was trained on; default: eval_task", "")
    model_dir: str = setting("", "folder that contains exp_folder; default: $CLIPORT_ROOT if run as a module")
    exp_folder: str = setting("exps", "folder of the experiments, below model_dir")
    assets_root: str = assets_root()
    assets: str = assets()
    disp: bool = disp()
    model_path: str = setting(
        "", "checkpoint file or folder; default: init_from, or checkpoints/ of <exp_folder>/<model_task>-<agent>-n<train_demos>-train"
    )
    train_config: str = setting(
        "", "Hydra settings of the original's training, for its checkpoints; default: .hydra/config.yaml beside checkpoints/"
    )
    save_path: str = setting(
        "",
        "folder for the results; default: results/ in the run's folder, "
        "or, with model_dir, checkpoints/ of <exp_folder>/<eval_task>-<agent>-n<train_demos>-train",
    )
    results_path: str = setting("", "folder of the validation results that test_best needs; default: save_path")
    renderer: str = renderer()
    debug_images: int = setting(
        12, "number of scenes whose final state is shown with the run, and of failures whose heat maps are", ge=0, le=100
    )
    record: RecordConfig = field(default_factory=RecordConfig)
    model: FrozenConfig = field(default_factory=FrozenConfig)
