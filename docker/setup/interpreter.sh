#!/bin/sh
# $LOCAL_PYTHON: the interpreter that clearml-agent calls when a container starts. The agent first updates pip and itself, which takes
# seconds with a package index and a minute without one. This script skips updates to versions that the image has, as listed in in_place.
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
