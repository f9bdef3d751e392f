#!/usr/bin/env bash
# Lint and test the project in its own environment, which is set up first if it is missing.
# Further arguments go to pytest: tests/run_all.sh -k bounds. --all includes the slow tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. reproduce/environment.sh
"$PYTHON" -m ruff check --no-cache .
"$PYTHON" -m ruff format --no-cache --check .
"$PYTHON" -m mypy --cache-dir=/dev/null
exec "$PYTHON" -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
