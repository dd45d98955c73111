"""The GPUs that this machine shows to a run, found without torch."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from itertools import takewhile

LIMITS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""What narrows the choice, the one that CUDA itself reads first; clearml-agent sets both for `--gpus` and `--cpu-only`."""
PATIENCE = 60.0
"""Seconds that nvidia-smi may take: without its persistence mode it wakes up every GPU."""


def visible(environment: Mapping[str, str]) -> tuple[int, str]:
    """How many GPUs a run can use, and what says so. None, too, where nvidia-smi is missing or fails: such a machine has the CPU."""
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
    """The number of devices in a list, which ends for CUDA at the first that is none: -1, for example, or `none`."""
    return len(list(takewhile(re.compile(r"\s*(\d|GPU-|MIG-)").match, devices.split(","))))


def problems_of_processes(wanted: int, environment: Mapping[str, str]) -> list[str]:
    """More processes than there are GPUs for them; without a GPU they share the CPU."""
    if wanted == 1:
        return []
    count, source = visible(environment)
    if not 0 < count < wanted:
        return []
    return [f"nproc_per_node={wanted}: this machine has {count} GPU(s) for the run ({source}), and each process takes one"]
