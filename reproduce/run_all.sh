#!/usr/bin/env bash
# Regenerate every figure of the paper into figures/. Makes its own environment. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: reproduce/run_all.sh [--preset NAME] [--only FIGURE]... [--force] [--help]

Runs the notebooks reproduce/fig_*.ipynb and leaves their figures in figures/, the executed
notebooks in results/notebooks/. Figures that are fresh are not drawn again.

  --preset NAME   smoke (seconds), quick (the default: minutes), standard (10^7 training samples a
                  model, real data only) or paper (10^8)
  --only FIGURE   only this notebook, fig_manifold for example; may be repeated
  --jobs N        run N notebooks side by side, each with its share of the cores
  --force         draw also what is fresh (trained models are taken from the store all the same)

A run that was killed goes on from its last checkpoint: just start again. .venv/bin/python -m
vae_keras runs lists the stored runs; runs --drop NAME deletes one, --drop all every one.

VAE_KERAS_DATA names a folder that holds mnist.npz and frey_rawface.mat; without it they are looked
for in Keras's cache, then downloaded. VAE_KERAS_RESULTS names the store of runs (default: results/).
TEXT
}

for argument in "$@"; do
  case "$argument" in -h | --help) usage; exit 0 ;; esac
done
. reproduce/environment.sh
exec "$PYTHON" -m vae_keras figures "$@"
