#!/usr/bin/env bash
# CLIPort, language-conditioned tabletop manipulation in PyBullet
# Rendered by `registry render` from clearml_tasks/cliport/workload.yaml.
# Enqueues the smoke run of cliport and waits for it. Needs a server and an agent: registry up
#
#   bash example/cliport.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    { echo "error: there is no registry command: make .venv, or pip install ." >&2; exit 1; }
queue=${QUEUE:-gpu01}
"$registry" enqueue cliport --smoke --wait --queue "$queue" --project clearml-example-project "$@"
