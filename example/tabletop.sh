#!/usr/bin/env bash
# Scenes of colored objects on a table as image-text pairs, COCO, VOC or Sherlock; the small dataset of the other workloads
# Rendered by `registry render` from clearml_tasks/tabletop/workload.yaml.
# Enqueues the smoke run of tabletop and waits for it. A server and an agent must be running: registry up
#
#   bash example/tabletop.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    { echo "error: the registry command was not found; run: make .venv, or pip install ." >&2; exit 1; }
queue=${QUEUE:-gpu01}
"$registry" enqueue tabletop --smoke --wait --queue "$queue" --project clearml-example-project "$@"
