"""`make bench/clip`; PART=speed (or another module's name) makes the rows of that part alone."""

import os

from benchmarks.table import run_parts

TEXT = """
CLIP training, measured without a GPU: its speed and memory against open_clip's own training program, the memory that each option saves, and
whether the trainings learn, also with smaller optimizer states. A ratio above 1 means that ours is better.
"""

if __name__ == "__main__":
    run_parts("clip", TEXT, ("speed", "memory", "learning", "states"), trial=os.environ.get("CLIP_BENCH_SIZE") == "small")
