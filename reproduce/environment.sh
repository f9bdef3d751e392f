# Sourced by reproduce/run_all.sh, tests/run_all.sh and lab: makes or updates .venv by
# reproduce/environment.py, and sets PYTHON.

PYTHON="$PWD/.venv/bin/python"

find_python() {
  local candidate found=""
  for candidate in python3.11 python3.12 python3.13 python3 python; do
    if "$candidate" -S -c 'import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
    found="$found$("$candidate" -c 'import sys
print(" %s is %d.%d." % ((sys.argv[1],) + sys.version_info[:2]))' "$candidate" 2>/dev/null || true)"
  done
  echo "Set-up failed: TensorFlow 2.21 needs Python 3.11, 3.12 or 3.13 with its venv module, and" \
    "none was found (Debian: apt-get install python3.11-venv).$found" >&2
  return 1
}

base=$(find_python) || exit 1
"$base" -S reproduce/environment.py || exit $?
