#!/usr/bin/env bash
# Contrastive language-image training of any open_clip model on image-text pairs
# Rendered by `registry render` from clearml_tasks/clip/workload.yaml.
# Enqueues the smoke run of clip and waits for it. A server and an agent must be running: registry up
#
#   bash example/clip.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    { echo "error: the registry command was not found; run: make .venv, or pip install ." >&2; exit 1; }
queue=${QUEUE:-gpu01}
"$registry" dataset ensure tabletop-pairs --queue "$queue" >/dev/null
"$registry" enqueue clip --smoke --wait --queue "$queue" --project clearml-example-project "$@"
