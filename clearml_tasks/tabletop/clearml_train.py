"""Render scenes and publish them in one of four formats. Here: python clearml_tasks/tabletop/clearml_train.py command=render n=60"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))  # the clone's own code, not one baked into an image

import harness


def render(job: harness.Job) -> None:
    from tabletop.dataset import render as render_scenes

    folder = render_scenes(job.settings, job.seed, job.output_dir, job.report)
    job.publish(folder, job.settings.dataset_name, tags=("tabletop", job.settings.format))


if __name__ == "__main__":
    harness.main(__file__, render=render)
