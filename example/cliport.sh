#!/usr/bin/env bash
# CLIPort, language-conditioned tabletop manipulation in PyBullet
# Rendered by `registry render` from clearml_tasks/cliport/workload.yaml.
# Enqueues the smoke run of cliport and waits for it. A server and an agent must be running: registry up
#
#   bash example/cliport.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    { echo "error: the registry command was not found; run: make .venv, or pip install ." >&2; exit 1; }
queue=${QUEUE:-gpu01}
"$registry" enqueue cliport --smoke --wait --queue "$queue" --project clearml-example-project "$@"
