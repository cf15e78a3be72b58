#!/bin/sh
# Writes the two serving lock files again, from serving.in and serving-torch.in. Needs `uv` on PATH.
set -eu
cd "$(dirname "$0")"
for name in serving serving-torch; do
    uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
        --python-version 3.11 --constraint ../../requirements.txt --upgrade --output-file "$name.lock" "$name.in"
done
