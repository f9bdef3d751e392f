# Sourced by reproduce/run_all.sh and tests/run_all.sh: makes .venv from requirements.txt where it
# is missing or older than that file, and sets PYTHON. Nothing outside the project is touched.

PYTHON="$PWD/.venv/bin/python"

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3 python; do
    if "$candidate" -c 'import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "No Python 3.11 with its venv module was found: install it (Debian: python3.11-venv)." >&2
  return 1
}

make_environment() {
  cmp -s requirements.txt .venv/requirements.txt && return
  local base
  base=$(find_python) || return 1
  echo "Setting up .venv from requirements.txt (about two minutes, 2 GB) ..."
  [ -x "$PYTHON" ] || "$base" -m venv .venv || return 1
  if ! "$PYTHON" -m pip install --quiet --disable-pip-version-check -r requirements.txt; then
    echo "Set-up failed: see pip's message above; the next start goes on from here." >&2
    return 1
  fi
  # JupyterLab begins at the landing page, unless a file is named.
  mkdir -p .venv/etc/jupyter
  echo '{"LabApp": {"default_url": "/lab/tree/notebooks/00_begin_here.ipynb"}}' \
    > .venv/etc/jupyter/jupyter_lab_config.json
  cp requirements.txt .venv/requirements.txt
}

make_environment || exit 1
