"""Write the trained models of figures 4 and 5, and one of each algorithm, to vae_keras/trained/.

.venv/bin/python reproduce/pretrained.py [--preset paper]

Reads the runs that `run_all.sh` with this preset left in the store, even unfinished ones if
VAE_KERAS_NO_TRAINING=1. Needs the real data, to measure the effect of storing in half precision.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from vae_keras import _files, marginal_likelihood, pretrained
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.reproduction import presets, runs, settings

WEIGHTS = "model.weights.h5"  # in a Keras file
ESTIMATED = 1000  # test points, of log p(x)


def chosen(preset: str) -> settings.Runs:
    """Figures 4 and 5's models; of wake-sleep, full VB and Monte Carlo EM one each."""
    bounds = settings.LowerBound(preset=preset, algorithms=["wake_sleep"]).runs()
    mcem = settings.MarginalLikelihood(preset=preset).runs()
    full_vb = settings.FullVB(preset=preset).runs()
    found = settings.Manifold(preset=preset).runs() + settings.Samples(preset=preset).runs()
    found += [p for p in bounds if (p[0].dataset, p[0].latent_dim) == ("mnist", 20)][:1]
    found += [p for p in full_vb if p[0].algorithm == "full_vb"][:1]
    found += [p for p in mcem if (p[0].algorithm, p[0].n_train) == ("mcem", 1000)][:1]
    return list({experiment.key: (experiment, data) for experiment, data in found}.values())


def halved(model: keras.Model, file: Path) -> None:
    """Write `model` as an uncompiled Keras file with weights of half precision."""
    copy = type(model).from_config(model.get_config())
    for theirs, own in zip(copy.variables, model.variables, strict=True):
        theirs.assign(own)
    partial = file.with_name(f".{file.stem}.part.keras")
    copy.save(partial)
    buffer = io.BytesIO()
    with zipfile.ZipFile(partial) as whole, zipfile.ZipFile(buffer, "w") as half:
        for name in whole.namelist():
            content = whole.read(name)
            how = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
            half.writestr(name, _in_half(content) if name == WEIGHTS else content, how)
    partial.unlink()
    _files.replace(file, buffer.getvalue())


def _in_half(weights: bytes) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as whole, h5py.File(buffer, "w") as half:

        def take(name, item):
            if isinstance(item, h5py.Group):
                taken = half.require_group(name)
            else:
                value = item[()]
                value = value.astype(np.float16) if value.dtype == np.float32 else value
                packed = {"compression": "gzip", "shuffle": True} if value.ndim else {}
                taken = half.create_dataset(name, data=value, **packed)
            for key, text in item.attrs.items():
                taken.attrs[key] = text

        whole.visititems(take)
    return buffer.getvalue()


def measured(model: keras.Model, run: runs.Run) -> dict[str, float]:
    """What the model is worth on the test set, in nats."""
    x = run.experiment.pixels(run.data.x_test)
    model.set_evaluation_noise(0)
    if isinstance(model, AutoEncoder):
        return {"lower_bound": round(float(model.elbo(x).mean()), 2)}
    nats = marginal_likelihood.appendix_d(model, x[:ESTIMATED]).log_likelihood
    return {"marginal_log_likelihood": round(float(nats.mean()), 2)}


def main() -> None:
    """Write all models, and what is to be said of them; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper", choices=presets.NAMES)
    preset = parser.parse_args().preset
    told = {}
    for run in runs.run_all(chosen(preset)):
        experiment = run.experiment
        name = f"{experiment.algorithm}-{run.data.name}-{experiment.latent_dim}d".replace("_", "-")
        file = pretrained.FOLDER / f"{name}.keras"
        halved(run.model, file)
        whole = {f"{key}_of_the_run": value for key, value in measured(run.model, run).items()}
        told[name] = {
            "experiment": run.record["experiment"],
            "samples": run.samples,
            "data": run.data.title,
            "data_sha256": run.data.sha256,
            "pixels": "byte / 256",
            "weights": "half precision",
            **measured(keras.saving.load_model(file), run),
            **whole,
            "trained_on": run.record.get("trained_on", []),
            "hours": round(run.record["training_s"] / 3600, 2),
            "made_by": run.record["made_by"],
        }
        print(f"{name}: {file.stat().st_size / 1e6:.2f} MB, {told[name]}", flush=True)
    _files.replace(
        pretrained.FOLDER / pretrained.PROVENANCE, (json.dumps(told, indent=2) + "\n").encode()
    )
    print(f"{sum(f.stat().st_size for f in pretrained.FOLDER.glob('*.keras')) / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()
