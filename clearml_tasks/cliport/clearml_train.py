"""Make demonstrations, train on them, evaluate, predict. Here: python clearml_tasks/cliport/clearml_train.py command=demos n=10"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness


def demos(job: harness.Job) -> None:
    from cliport.demos import demos

    demos(job)


def train(job: harness.Job) -> None:
    from cliport.train import train  # torch is imported by ranks only

    train(job)


def finetune(job: harness.Job) -> None:
    from cliport.finetune import finetune

    finetune(job)


def evaluate(job: harness.Job) -> None:
    from cliport.eval import evaluate

    evaluate(job)


def predict(job: harness.Job) -> None:
    from cliport.predict import predict

    predict(job)


if __name__ == "__main__":
    harness.main(__file__, demos=demos, train=train, finetune=finetune, eval=evaluate, predict=predict)
