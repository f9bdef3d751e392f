#!/usr/bin/env bash
# Build the site into docs/_build/html, or into the folder given, without a network. A warning fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. reproduce/environment.sh
exec "$PYTHON" docs/site/build.py "$@"
