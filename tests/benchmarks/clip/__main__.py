"""`make bench/clip`; PART=speed (or another module's name) makes the rows of that part alone."""

from benchmarks.table import run_parts

if __name__ == "__main__":
    run_parts("clip", ("speed", "memory", "learning"))
