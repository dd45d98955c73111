#!/usr/bin/env bash
# The whole way of a run on one machine: one task makes a data set, two training runs with different learning rates learn
# from it, each taken from the queue and executed by a real agent; then they are compared.
#
#   make demo          # KEEP=1 leaves the server up, to look at the page; PORT=8080 is its port
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
queue=${QUEUE:-gpu01}

say() { printf '\n== %s\n' "$*"; }

say "environments (the first time takes minutes; later ones find them in the cache)"
"$python" -m registry.environment --clone --debian tabletop
"$python" -m registry.environment --debian clip & # goes on while the data set is made
clip_environment=$!

was_up=$(.venv/bin/registry status >/dev/null 2>&1 && echo yes || echo no)
finish() {
    [ "$was_up" = yes ] || [ -n "${KEEP:-}" ] || .venv/bin/registry down
}
trap finish EXIT

say "server and two agents"
.venv/bin/registry up --queue "$queue" --agents 2 ${PORT:+--port "$PORT"} || {
    echo "the demo needs a server; where its port is taken, choose another: make demo PORT=8080" >&2
    exit 1
}

say "one task renders scenes and publishes them as a dataset"
render=$(.venv/bin/registry enqueue tabletop --queue "$queue" --wait)

wait "$clip_environment"
say "two runs learn from it, with different learning rates"
runs=$(.venv/bin/registry enqueue clip --queue "$queue" --dataset "task:$render" --wait config=smoke optim.lr=1e-3,1e-5)

say "the comparison"
# shellcheck disable=SC2086  # one argument for each run
.venv/bin/registry compare $runs
[ -z "${KEEP:-}" ] || .venv/bin/registry up --queue "$queue" --agents 2
