#!/usr/bin/env bash
# Shows the whole path of a run on one machine: makes a dataset, trains two runs on it with different learning rates, compares them.
# Agents take each task from the queue and execute it.
#
#   make demo          # KEEP=1 leaves the server running, so you can look at its web page; PORT=8080 sets its port
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
queue=${QUEUE:-gpu01}

say() { printf '\n== %s\n' "$*"; }

say "building the environments (the first time takes minutes; later, they are in the cache)"
"$python" -m registry.environment --clone --debian tabletop
"$python" -m registry.environment --debian clip & # continues while the dataset is made
clip_environment=$!

was_up=$(.venv/bin/registry status >/dev/null 2>&1 && echo yes || echo no)
finish() {
    [ "$was_up" = yes ] || [ -n "${KEEP:-}" ] || .venv/bin/registry down
}
trap finish EXIT

say "starting a server and two agents"
.venv/bin/registry up --queue "$queue" --agents 2 ${PORT:+--port "$PORT"} || {
    echo "the demo needs a server; if its port is in use, choose another: make demo PORT=8080" >&2
    exit 1
}

say "rendering scenes and publishing them as a dataset"
render=$(.venv/bin/registry enqueue tabletop --queue "$queue" --wait)

wait "$clip_environment"
say "training two runs on it, with different learning rates"
runs=$(.venv/bin/registry enqueue clip --queue "$queue" --dataset "task:$render" --wait config=smoke optim.lr=1e-3,1e-5)

say "comparing the two runs"
# shellcheck disable=SC2086  # one argument for each run
.venv/bin/registry compare $runs
[ -z "${KEEP:-}" ] || .venv/bin/registry up --queue "$queue" --agents 2
