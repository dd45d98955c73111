"""Train CLIP on image-text pairs. Run it here: python clearml_tasks/clip/clearml_train.py dataset_path=./pairs config=smoke"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness


def train(job: harness.Job) -> None:
    from clip_training.train import train  # torch is imported by ranks only

    train(job)


def finetune(job: harness.Job) -> None:
    from clip_training.finetune import finetune

    finetune(job)


def finetune_vpt(job: harness.Job) -> None:
    from clip_training.finetune_vpt import finetune_vpt

    finetune_vpt(job)


def make_npz(job: harness.Job) -> None:
    from clip_training.npz import make_npz

    job.publish(make_npz(job), "clip-npz", tags=("clip", job.settings.model.name))


def evaluate(job: harness.Job) -> None:
    from clip_training.evaluate import evaluate

    evaluate(job)


def embed(job: harness.Job) -> None:
    from clip_training.embed import embed

    embed(job)


def search(job: harness.Job) -> None:
    from clip_training.search import search

    search(job)


def export(job: harness.Job) -> None:
    from clip_training.export import export

    export(job)


if __name__ == "__main__":
    harness.main(
        __file__,
        train=train,
        finetune=finetune,
        finetune_vpt=finetune_vpt,
        make_npz=make_npz,
        evaluate=evaluate,
        embed=embed,
        search=search,
        export=export,
    )
