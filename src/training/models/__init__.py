"""Small CLIP models for a CPU, in open_clip's form: one file each, named as the model is."""

from pathlib import Path

FOLDER = Path(__file__).parent
