"""Settings of the commands, by the original's names; importable without PyTorch and PyBullet."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.settings import setting

from .tasks import MODES, groups, names

TASKS = tuple(names())
GROUPS = tuple(groups())


@dataclass
class AugmentConfig:
    """How a height map is turned and shifted for training."""

    theta_sigma: float = setting(60.0, "standard deviation of the rotation", unit="degrees", ge=0)


@dataclass
class DatasetConfig:
    """How demonstrations are read."""

    type: str = setting("single", "one task, or a multi-task group; follows from the task's name", choices=("single", "multi"))
    images: bool = setting(True, "read the height maps; False reads actions, rewards and instructions alone")
    cache: bool = setting(True, "keep episodes in memory, up to cache_mib")
    cache_mib: int = setting(512, "memory that a process gives to the episodes it keeps", unit="MiB", ge=0)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class RecordConfig:
    """Videos of episodes."""

    save_video: bool = setting(False, "an mp4 per episode; every frame is rendered, which is slow")
    save_video_path: str = setting("", "their folder; empty is videos/ beside the data or the checkpoints")
    add_text: bool = setting(True, "write the instruction below the picture")
    fps: int = setting(20, "of the video; a second of it is a second of the simulation", unit="frames/s", ge=1, le=120)
    video_height: int = setting(640, "of the picture", unit="pixels", ge=16, le=4096)
    video_width: int = setting(720, "of the picture", unit="pixels", ge=16, le=4096)


@dataclass
class DemosConfig:
    """Settings of `command=demos`."""

    data_dir: str = setting("", "where `<task>-<mode>` is written; empty is $CLIPORT_ROOT/data, in a run on the queue its own folder")
    assets_root: str = setting("", "folder of the robot's meshes; empty is the package's own")
    disp: bool = setting(False, "show PyBullet's window")
    shared_memory: bool = setting(False, "attach to a PyBullet server on this machine instead of one in the process")
    task: str = setting("packing-boxes-pairs-seen-colors", "a task, or a group for each of its tasks", choices=TASKS + GROUPS)
    mode: str = setting("train", "which seeds: even from 0, odd from 1, odd from 10001", choices=MODES)
    n: int = setting(1000, "demonstrations that there shall be in the end", unit="episodes", ge=1)
    n_val: int = setting(0, "with mode=train: make so many of mode val as well", unit="episodes", ge=0)
    n_test: int = setting(0, "with mode=train: make so many of mode test as well", unit="episodes", ge=0)
    save_data: bool = setting(True, "False tries the oracle and keeps nothing")
    workers: int = setting(1, "processes; 0 is one per core. The result does not depend on it", ge=0, le=256)
    attempts: int = setting(20, "seeds tried in a row without a success before giving up", ge=1)
    renderer: str = setting("auto", "of the cameras: EGL where it works, else PyBullet's software renderer", choices=("auto", "egl", "tiny"))
    debug_images: int = setting(12, "episodes whose height maps are shown beside the run", ge=0, le=100)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    record: RecordConfig = field(default_factory=lambda: RecordConfig(add_text=False))


@dataclass
class EvalConfig:
    """Settings of `command=eval`."""

    mode: str = setting("val", "which demonstrations' scenes", choices=MODES)
    agent: str = setting("cliport", "the agent's name; it is a part of the paths")
    n_demos: int = setting(100, "scenes to try", unit="episodes", ge=1)
    train_demos: int = setting(1000, "how many demonstrations the agent learned from; a part of the paths", unit="episodes", ge=1)
    n_repeats: int = setting(1, "how often every scene is tried", ge=1)
    gpu: list[int] = setting([0], "the GPU to use, where there is one")
    save_results: bool = setting(True, "write the results file")
    update_results: bool = setting(False, "evaluate checkpoints again that the results file has")
    checkpoint_type: str = setting("val_missing", "val_missing, test_best, last, best, or a part of a name: a step such as 05000")
    val_on_heldout: bool = setting(True, "with a group: its held-out tasks; False takes those that it trains on")
    eval_task: str = setting("packing-boxes-pairs-seen-colors", "a task, or a group with type=multi", choices=TASKS + GROUPS)
    model_task: str = setting("", "what the agent was trained on; empty is eval_task", choices=("", *TASKS, *GROUPS))
    type: str = setting("single", "one task, or a multi-task group", choices=("single", "multi"))
    model_dir: str = setting("", "folder that holds exp_folder; empty is $CLIPORT_ROOT")
    exp_folder: str = setting("exps", "folder of the experiments")
    data_dir: str = setting("", "folder of the demonstrations; empty is $CLIPORT_ROOT/data, in a run on the queue its dataset")
    assets_root: str = setting("", "folder of the robot's meshes; empty is the package's own")
    disp: bool = setting(False, "show PyBullet's window")
    shared_memory: bool = setting(False, "attach to a PyBullet server on this machine instead of one in the process")
    model_path: str = setting("", "checkpoints' folder, or one file; empty is <exp>/<model_task>-<agent>-n<train_demos>-train/checkpoints")
    train_config: str = setting("", "the training's settings; empty reads them from the checkpoint")
    save_path: str = setting("", "folder of the results; empty is <exp>/<eval_task>-<agent>-n<train_demos>-train/checkpoints")
    results_path: str = setting("", "folder of the validation's results for test_best; empty is save_path")
    renderer: str = setting("auto", "of the cameras: EGL where it works, else PyBullet's software renderer", choices=("auto", "egl", "tiny"))
    record: RecordConfig = field(default_factory=RecordConfig)
