#!/bin/sh
# Writes the serving lock files again, each from the .in file of its name. Needs `uv` on PATH.
set -eu
cd "$(dirname "$0")"
for name in serving serving-torch serving-tensorrt; do
    uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-build \
        --python-version 3.11 --constraint ../../requirements.txt --upgrade --output-file "$name.lock" "$name.in"
done
