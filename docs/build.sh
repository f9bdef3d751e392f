#!/usr/bin/env bash
# Build the site, without a network: docs/_build/html, or html in the folder given. A warning fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. reproduce/environment.sh
exec "$PYTHON" docs/site/build.py "$@"
