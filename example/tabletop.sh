#!/usr/bin/env bash
# Scenes of colored objects on a table as image-text pairs, COCO, VOC or Sherlock; the small dataset of the other workloads
# Rendered by `registry render` from clearml_tasks/tabletop/workload.yaml.
# Enqueues the smoke run of tabletop and waits for it. Needs a server and an agent: registry up
#
#   bash example/tabletop.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    { echo "error: there is no registry command: make .venv, or pip install ." >&2; exit 1; }
queue=${QUEUE:-gpu01}
"$registry" enqueue tabletop --smoke --wait --queue "$queue" --project clearml-example-project "$@"
