"""`make bench/cliport`; PART=training_step (or another module's name) makes the rows of that part alone."""

from benchmarks.table import run_parts

TEXT = """
Training and demonstrations, measured without a GPU, against the same work written the way CLIPort's own code does it
(`tests/benchmarks/cliport/original`), each in a process of its own at the faithful size; and whether a small agent learns. A ratio above 1
means that ours is better.
"""

if __name__ == "__main__":
    run_parts("cliport", TEXT, ("training_step", "demonstration", "learning", "other_camera"))
