"""Train CLIP on image-text pairs. Run it here: python clearml_tasks/clip/clearml_train.py dataset_path=./pairs config=smoke"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness


def learning(job: harness.Job) -> dict[str, Any]:
    """What every kind of training takes from a job beside settings and data."""
    names = ("seed", "report", "checkpoints", "resume", "init_from")
    return {"output": job.output_dir, **{name: getattr(job, name) for name in names}}


def train(job: harness.Job) -> None:
    from clip_training.train import train  # torch is imported by ranks only

    train(job.settings, job.dataset, **learning(job))


def finetune(job: harness.Job) -> None:
    from clip_training.finetune import finetune

    finetune(job.settings, job.dataset, **learning(job))


def finetune_vpt(job: harness.Job) -> None:
    from clip_training.finetune_vpt import finetune_vpt

    finetune_vpt(job.settings, job.dataset, **learning(job))


def make_npz(job: harness.Job) -> None:
    from clip_training.npz import make_npz

    folder = make_npz(job.settings, job.dataset, seed=job.seed, output=job.output_dir, report=job.report)
    job.publish(folder, "clip-npz", tags=("clip", job.settings.model.name))


def evaluate(job: harness.Job) -> None:
    from clip_training.evaluate import evaluate

    evaluate(job.settings, job.dataset, seed=job.seed, output=job.output_dir, report=job.report, init_from=job.init_from)


def export(job: harness.Job) -> None:
    from clip_training.export import export

    export(job.settings, output=job.output_dir, report=job.report, init_from=job.init_from)


if __name__ == "__main__":
    harness.main(__file__, train=train, finetune=finetune, finetune_vpt=finetune_vpt, make_npz=make_npz, evaluate=evaluate, export=export)
