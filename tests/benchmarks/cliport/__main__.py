"""`make bench/cliport`; PART=training_step (or another module's name) makes the rows of that part alone."""

from benchmarks.table import run_parts

if __name__ == "__main__":
    run_parts("cliport", ("training_step", "demonstration", "learning"))
