"""The GPUs that a run can see on this machine, found without torch."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from itertools import takewhile

LIMITS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""Variables that restrict the GPUs; CUDA itself reads the first. clearml-agent sets both for `--gpus` and `--cpu-only`."""
PATIENCE = 60.0
"""Timeout of nvidia-smi in seconds: without persistence mode it has to wake up every GPU."""


def visible(environment: Mapping[str, str]) -> tuple[int, str]:
    """How many GPUs a run can use, and where the number comes from. Zero if nvidia-smi is missing or fails: there is only the CPU."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0, "nvidia-smi lists none"
    present = len(re.findall(r"^\s*MIG ", listed, re.MULTILINE) or re.findall(r"^GPU ", listed, re.MULTILINE))
    for name in LIMITS:
        if environment.get(name, "all") != "all":
            return min(present, stated_in(environment[name])), f"{name}={environment[name]}"
    return present, f"nvidia-smi lists {present}"


def stated_in(devices: str) -> int:
    """The number of devices in a list. As in CUDA, the list ends at the first invalid entry, such as -1 or `none`."""
    return len(list(takewhile(re.compile(r"\s*(\d|GPU-|MIG-)").match, devices.split(","))))


def problems_of_processes(wanted: int, environment: Mapping[str, str]) -> list[str]:
    """Report more processes than GPUs. Without any GPU, processes share the CPU."""
    if wanted == 1:
        return []
    count, source = visible(environment)
    if not 0 < count < wanted:
        return []
    return [f"nproc_per_node={wanted}: this run has {count} GPU(s) ({source}), and each process needs one"]
