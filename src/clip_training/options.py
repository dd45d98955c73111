"""The command lines' arguments: `key=value` as everywhere, and the flags of train-CLIP's scripts.

`model_name=RN50`, `--model_name RN50` and `model.name=RN50` are the same. A setting may be called by the last part of its name where
no other one of the command ends so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, make_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness import command_line
from harness.checkpoint import Checkpoints, find
from harness.errors import ParameterError
from harness.grammar import literal
from harness.report import Report, Silent, TerminalReport
from harness.settings import describe, nearest, setting
from training.run import Run

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "clip"


@dataclass
class Place:
    """What a run on the queue is told by the harness, and a command line by its arguments."""

    folder: str = setting("", "the data: a folder of image-text pairs, or of what the command takes")
    config: str = setting("", "settings: a name below configs/clip/, or a YAML file")
    output_dir: str = setting("", "folder of the run's files; empty is outputs/clip/<command>")
    resume: str = setting("", "continue the run in this folder, or from this checkpoint")
    init_from: str = setting("", "start from the weights in this file, or in this run's folder")
    seed: int = setting(0, "where all random numbers come from", ge=0)


ALIASES = {
    "model_name": "model.name",
    "batchsize": "train.batch_size",
    "minibatch_size": "train.micro_batch",
    "num_workers": "data.workers",
    "max_epochs": "train.epochs",
    "dataset_path": "folder",
    "default_root_dir": "output_dir",
    "resume_from_checkpoint": "resume",
    "ckpt_path": "resume",
}
"""train-CLIP's names, and Lightning's that its scripts took, for ours."""

PRECISIONS = {"32": "fp32", "32-true": "fp32", "16": "fp16", "16-mixed": "fp16", "bf16-mixed": "bf16"}

REFUSED = {
    "image_size": "it is the model's own",
    "accumulate_grad_batches": "contrasting needs the whole batch at once; train.micro_batch=N gives one of any size on the memory of N",
}
"""Options of train-CLIP's scripts that have no meaning here, and why."""

FIXED = {"resize_ratio": ("0.75",), "shuffle": ("True", "true", "1"), "accelerator": ("auto", "gpu", "cpu", "ddp")}
"""Options that are accepted with the value that holds here anyway."""


def main(command: str, schema: type, run: Callable[..., object], usage: str) -> None:
    """Run a command's function from the command line.

    Args:
        command: its name.
        schema: its settings class.
        run: called as (settings, folder or None, Run).
        usage: what `--help` says above the settings.
    """
    line = make_dataclass("Line", [], bases=(schema, Place))
    command_line.main(line, partial(call, command, schema, run), usage, understood)


def call(command: str, schema: type, run: Callable[..., object], line: Any) -> None:
    named = {"folder": line.folder, "resume": line.resume, "init_from": line.init_from}
    if missing := [f"{name}={path}: there is no such file or folder" for name, path in named.items() if path and not Path(path).exists()]:
        raise ParameterError(missing)
    output = Path(line.output_dir or Path("outputs") / "clip" / command)
    report: Report = Silent() if int(os.environ.get("RANK", "0")) else TerminalReport(output)
    run(
        schema(**{field.name: getattr(line, field.name) for field in fields(schema)}),
        Path(line.folder) if line.folder else None,
        Run(
            line.seed,
            output,
            report,
            Checkpoints(output / "checkpoints"),
            find(Path(line.resume)) if line.resume else None,
            weights_in(Path(line.init_from)) if line.init_from else None,
        ),
    )


def weights_in(place: Path) -> Path:
    """A file as it is; of a run's folder the final weights, or else its newest checkpoint."""
    if place.is_dir():
        return place / "weights.pt" if (place / "weights.pt").is_file() else find(place)
    return place


def understood(schema: type, arguments: Sequence[str]) -> Any:
    """An instance of `schema` with the values of the arguments.

    Raises:
        ParameterError: with everything that is wrong, each with the nearest right name.
    """
    problems: list[str] = []
    keys = [leaf.key for leaf in describe(schema)]
    texts = {leaf.key for leaf in describe(schema) if leaf.holds_text}
    tokens: list[str] = []
    file = None
    names = [*keys, *ALIASES, *REFUSED, *FIXED, *(key.rpartition(".")[2] for key in keys)]
    for name, value, flag in pairs_of(arguments, names, problems):
        key = full_name(name, keys)
        if name in ("gpus", "devices"):
            problems += [] if value in ("", "-1", "0", "1", "auto") else [several(name, value)]
        elif name in REFUSED:
            problems.append(f"{name}: there is no such option, {REFUSED[name]}")
        elif name in FIXED:
            problems += [] if value in FIXED[name] else [f"{name}={value}: here it is {FIXED[name][0]}"]
        elif key == "config":
            file = config_file(value, problems)
        elif key not in keys:
            problems.append(f"{'--' if flag else ''}{name}: there is no such option{nearest(name, names)}")
        else:
            meant = PRECISIONS.get(value, value) if key == "train.precision" else value
            tokens.append(f"{key}={literal(meant) if flag and key in texts else meant}")
    return command_line.settings_of(schema, tokens, problems, file)


def pairs_of(arguments: Sequence[str], names: Sequence[str], problems: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Name, value, and whether it was a flag, of each of `name=value`, `--name=value`, `--name value`; `--name` alone is True."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, given, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--"):
            following = rest[0].partition("=") if rest else ("--", "", "")
            alone = following[0].startswith("--") or (following[1] and following[0] in names)
            yield name, value if given else "True" if alone else rest.pop(0), True
        elif given:
            yield name, value, False
        else:
            problems.append(f"{argument!r}: write key=value or --key value")


def full_name(name: str, keys: Sequence[str]) -> str:
    """The setting that a name means: itself, an alias, or the one setting that ends so."""
    name = name.replace("-", "_")
    meant = ALIASES.get(name, name)
    ending = [key for key in keys if key.rpartition(".")[2] == meant]
    return meant if meant in keys or len(ending) != 1 else ending[0]


def several(name: str, value: str) -> str:
    return f"{name}={value}: one process takes one GPU; for several: torchrun --nproc_per_node={value} -m clip_training.<command> ..."


def config_file(name: str, problems: list[str]) -> Path | None:
    for path in (Path(name), CONFIGS / f"{name}.yaml"):
        if path.is_file():
            return path
    known = [path.stem for path in sorted(CONFIGS.glob("*.yaml"))]
    problems.append(f"config={name}: neither a file nor one of {', '.join(known)}{nearest(name, known)}")
    return None
