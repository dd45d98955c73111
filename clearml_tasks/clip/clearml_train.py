"""Train CLIP on image-text pairs. Run it here: python clearml_tasks/clip/clearml_train.py dataset_path=./pairs config=smoke"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness


def train(job: harness.Job) -> None:
    from clip_training.train import train  # torch is imported by ranks only

    assert job.dataset is not None  # the command needs it
    train(
        job.settings,
        job.dataset,
        seed=job.seed,
        output=job.output_dir,
        report=job.report,
        checkpoints=job.checkpoints,
        resume=job.resume,
        init_from=job.init_from,
    )


if __name__ == "__main__":
    harness.main(__file__, train=train)
