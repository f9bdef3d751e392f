#!/usr/bin/env bash
# Regenerate every figure of the paper into figures/<preset>/. Makes its own environment. See --help.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: reproduce/run_all.sh [--preset NAME] [--only FIGURE]... [--jobs N] [--cluster ADDRESS]
                            [--force] [--no-training] [--figures-dir DIR]
                            [--help]

Trains the runs that the figures need, side by side, runs each notebook reproduce/fig_*.ipynb as
soon as its own are there, and leaves their figures in figures/<preset>/, the executed notebooks in
results/notebooks/<preset>/. Figures that are fresh are not drawn again, and a run that was trained
under a smaller preset goes on from there.

  --preset NAME      smoke (seconds), quick (the default: minutes), standard (10^7 training samples a
                     model, real data only), paper (10^8), or a YAML file of your own
  --only FIGURE      only this notebook, fig_manifold for example; may be repeated
  --jobs N           train N runs at once, a process and a thread each (default: one a core, or one a
                     GPU, as memory allows); in a notebook: the variable VAE_KERAS_JOBS
  --cluster ADDRESS  of a Dask scheduler, whose workers train instead (docs/cluster.md); in a
                     notebook: the variable VAE_KERAS_CLUSTER
  --force            draw also what is fresh (trained models are taken from the store all the same)
  --no-training      draw each curve as far as its run has come, also while another process trains
                     it, or as far as a figure in figures/ shows it already; in a notebook: the
                     variable VAE_KERAS_NO_TRAINING=1
  --figures-dir DIR  put the figures there

A run that was stopped, by Ctrl-C or however, goes on from its last checkpoint: just start again.
.venv/bin/python -m vae_keras runs lists the stored runs; runs --drop NAME deletes one, --drop all
every one.

VAE_KERAS_DATA names a folder that holds mnist.npz and frey_rawface.mat; without it they are looked
for in Keras's cache, then downloaded (.venv/bin/python -m vae_keras data says what came of it).
VAE_KERAS_RESULTS names the store of runs (default: results/).
TEXT
}

for argument in "$@"; do # at once, where Python would import TensorFlow first
  case "${argument%%=*}" in
    -h | --help) usage; exit 0 ;;
    --preset | --only | --jobs | --cluster | --force | --no-training | --figures-dir) ;;
    -[a-zA-Z-]*) echo "run_all.sh: no option $argument; --help lists them" >&2; exit 2 ;;
  esac
done
. reproduce/environment.sh
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
cd "$from" # where relative paths begin
# Until everything is imported, Ctrl-C ends without a trace of where it was.
exec "$PYTHON" -P -c '
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
from vae_keras.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["figures", *sys.argv[1:]]))' "$@"
