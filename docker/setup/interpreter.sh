#!/bin/sh
# $LOCAL_PYTHON: the interpreter as clearml-agent calls it when a container starts. There the agent first updates pip and itself,
# which takes seconds with a package index and a minute without one. What the image has as asked, says in_place, stays as it is.
in_place() {
    shift 4
    for requirement; do
        grep -qxF -e "$requirement" "${0%/*}/in_place" || return 1
    done
}
if [ "$1 $2 $3 $4" = "-m pip install -U" ] && in_place "$@"; then
    exit 0
fi
exec python3 "$@"
