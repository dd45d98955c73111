"""open_clip's own training program, with our small models known to it: the alternative."""

from __future__ import annotations

import sys

import open_clip
from open_clip_train.main import main

from harness.torch.models import FOLDER

open_clip.add_model_config(FOLDER)
main(sys.argv[1:])
