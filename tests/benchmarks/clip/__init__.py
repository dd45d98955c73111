"""CLIP training compared with open_clip's own training program in CPU seconds and peak memory, and what small models learn (`learning`)."""

from __future__ import annotations

from benchmarks import programs

PYTHON = programs.python("clip")


def environment() -> dict[str, str]:
    """Of programs that see no GPU."""
    return programs.environment(CUDA_VISIBLE_DEVICES="")
