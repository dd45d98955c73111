#!/usr/bin/env bash
# Runs inside an image: installs the given locks, and the version of pip that clearml-agent requires.
set -euo pipefail

unset PIP_CONSTRAINT # NVIDIA's base images pin other versions there than our locks
export PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
# A lock names everything on top of the base; --no-deps prevents pip from installing anything else.
# --compile costs 48 MB, but without it every container compiles anew: 1.3 s in each process that imports the SDK
python3 -m pip install --compile --no-deps "${@/#/--requirement=}"
# The agent's defaults (agent.package_manager.pip_version); interpreter.sh reads the list
wanted=("pip<20.2 ; python_version < '3.10'" "pip<22.3 ; python_version >= '3.10' and python_version <= '3.11'" "pip>=23,<26 ; python_version >= '3.12'")
python3 -m pip install "${wanted[@]}"
{ printf '%s\n' "${wanted[@]}"; python3 -m pip freeze | grep '^clearml-agent=='; } > "${0%/*}/in_place"
