"""Make demonstrations, learn from them, evaluate. Run it here: python clearml_tasks/cliport/clearml_train.py command=demos n=10"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness
from training.run import Run


def demos(job: harness.Job) -> None:
    from cliport.demos import make_demos

    data_dir = Path(job.settings.data_dir or job.output_dir / "data")
    make_demos(job.settings, data_dir, job.report)
    if job.settings.save_data:
        job.publish(data_dir, f"cliport-{job.settings.task}", tags=("cliport", job.settings.task))


def train(job: harness.Job) -> None:
    from cliport.train import train  # torch is imported by ranks only

    train(job.settings, job.dataset, Run.of(job))


def finetune(job: harness.Job) -> None:
    from cliport.finetune import finetune

    finetune(job.settings, job.dataset, Run.of(job))


def evaluate(job: harness.Job) -> None:
    from cliport.eval import loader
    from cliport.evaluate import evaluate

    settings = replace(
        job.settings,
        data_dir=str(job.settings.data_dir or job.dataset),
        model_path=str(job.settings.model_path or job.init_from or ""),
        save_path=str(job.settings.save_path or job.output_dir / "results"),
        record=replace(job.settings.record, save_video_path=job.settings.record.save_video_path or str(job.output_dir / "videos")),
    )
    evaluate(settings, loader(settings, job.report.text), job.report)


if __name__ == "__main__":
    harness.main(__file__, demos=demos, train=train, finetune=finetune, eval=evaluate)
