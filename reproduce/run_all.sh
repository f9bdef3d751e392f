#!/usr/bin/env bash
# Draw every figure of the paper into figures/<preset>/. Sets up its own environment. See --help.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: reproduce/run_all.sh [--preset NAME] [--only FIGURE]... [--jobs N] [--cluster ADDRESS]
                            [--force] [--no-training] [--figures-dir DIR]
                            [--help]

Trains the runs that the figures need, several at once. Runs each notebook reproduce/fig_*.ipynb as
soon as its runs are finished. The figures go to figures/<preset>/, the executed notebooks to
results/notebooks/<preset>/. Finished work is reused: figures that are up to date are not redrawn,
and a run trained under a smaller preset continues from there.

  --preset NAME      smoke (a test: a minute or two), quick (the default: minutes), standard (10^7
                     training samples per model, real data only), paper (10^8), or a YAML file
  --only FIGURE      run only this notebook, for example fig_manifold; may be repeated
  --jobs N           train N runs at once, in one single-threaded process each (default: one per
                     core as memory allows; with a GPU up to 16 share it by NVIDIA's Multi-Process
                     Service, without the service one); in a notebook: VAE_KERAS_JOBS
  --cluster ADDRESS  the address of a Dask scheduler whose workers train instead (docs/cluster.md);
                     in a notebook: VAE_KERAS_CLUSTER
  --force            redraw figures that are up to date (stored runs are still reused)
  --no-training      draw each curve as far as its run has got, even while another process trains
                     it, or as far as a figure in figures/ shows it; in a notebook:
                     VAE_KERAS_NO_TRAINING=1
  --figures-dir DIR  write the figures to DIR

A run that was stopped, by Ctrl-C or otherwise, continues from its last checkpoint: start again.
.venv/bin/python -m vae_keras runs lists the stored runs; runs --drop NAME deletes one, and
--drop all deletes all of them.

VAE_KERAS_DATA is a folder with mnist.npz and frey_rawface.mat. Without it, they are looked for in
Keras's cache, then downloaded (.venv/bin/python -m vae_keras data shows the result).
VAE_KERAS_RESULTS is the folder of stored runs (default: results/).
TEXT
}

for argument in "$@"; do # before the set-up, which may take minutes
  case "${argument%%=*}" in
    -h | --help) usage; exit 0 ;;
    --preset | --only | --jobs | --cluster | --force | --no-training | --figures-dir) ;;
    -[a-zA-Z-]*) echo "run_all.sh: no option $argument; --help lists them" >&2; exit 2 ;;
  esac
done
. reproduce/environment.sh
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
cd "$from" # relative paths of the user start here
# During the imports, Ctrl-C must not print a traceback.
exec "$PYTHON" -P -c '
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
from vae_keras.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["figures", *sys.argv[1:]]))' "$@"
