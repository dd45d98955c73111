#!/usr/bin/env bash
# Inside an image: installs the given locks, and pip in the version that clearml-agent wants.
set -euo pipefail

unset PIP_CONSTRAINT # NVIDIA's bases pin versions of their own there; ours are stated in the files
export PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
# A lock names everything beside the base; --no-deps, so that nothing comes in that it does not name.
# Compiled, for 48 MB: what a container compiles ends with it, 1.3 s anew in every process that imports the SDK
python3 -m pip install --compile --no-deps "${@/#/--requirement=}"
# The agent's own defaults (agent.package_manager.pip_version); interpreter.sh reads the list
wanted=("pip<20.2 ; python_version < '3.10'" "pip<22.3 ; python_version >= '3.10' and python_version <= '3.11'" "pip>=23,<26 ; python_version >= '3.12'")
python3 -m pip install "${wanted[@]}"
{ printf '%s\n' "${wanted[@]}"; python3 -m pip freeze | grep '^clearml-agent=='; } > "${0%/*}/in_place"
