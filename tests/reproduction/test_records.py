"""Whether a record of a run holds together."""

import copy
import dataclasses

import pytest

from vae_keras.reproduction import records
from vae_keras.reproduction.experiments import RECIPE, Experiment


@pytest.fixture
def record(small):
    """Of a finished run, as `training` writes it."""
    rows = [
        {
            "dataset": "synthetic_faces", "latent_dim": 2, "algorithm": "aevb", "split": split,
            "samples": samples, "lower_bound": -500.0, "seed": 0,
        }
        for samples in (1000, 3000, 4000)
        for split in ("train", "test", "running")
    ]  # fmt: skip
    settings = dataclasses.asdict(small)
    made_by = [{"version": "1", "commit": None, "sources": "a"}]
    about = {"experiment": settings, "recipe": RECIPE, "made_by": made_by}
    return about | {"samples": 4000, "curve": rows}


def test_a_record_that_holds_together(record, small):
    assert records.check(record, whole=True) == small
    on_its_way = record | {"samples": 3500, "curve": record["curve"][:-3]}
    assert records.check(on_its_way, whole=False) == small
    beyond = record | {"samples": 5000}  # it was asked to come further since
    assert records.check(beyond, whole=False) == small
    not_begun = record | {"samples": 0, "curve": []}
    assert records.check(not_begun, whole=False) == small
    for unfinished in (on_its_way, beyond, not_begun):
        with pytest.raises(ValueError, match="but should have 4000"):
            records.check(unfinished, whole=True)


def _row(record, **values):
    record["curve"][-1] |= values


CHANGED = {
    "no curve": (lambda r: r.update(curve=[]), "its curve ends at 0 samples"),
    "no end": (lambda r: r.update(curve=r["curve"][:-3]), "its curve ends at 3000 samples"),
    "a split less": (lambda r: r["curve"].pop(-2), "lacks one of the splits"),
    "nan": (lambda r: _row(r, lower_bound=float("nan")), "has no finite value"),
    "no bound": (lambda r: r["curve"][-1].pop("lower_bound"), "'lower_bound'"),
    "another run's": (lambda r: _row(r, algorithm="wake_sleep"), "belongs to another run"),
    "beyond": (lambda r: _row(r, samples=10**8), "has wrong samples or a wrong split"),
    "recipe": (lambda r: r.update(recipe=8), "its recipe is 8, but this version's is"),
    "nobody": (lambda r: r.update(made_by=[]), "it does not name the version that made it"),
    "claims": (lambda r: r.update(samples=10**8), "it claims 100000000 samples"),
    "seed": (lambda r: r["experiment"].update(seed=1), "belongs to another run"),
    "no settings": (lambda r: r.pop("experiment"), "'experiment'"),
    "a list": (lambda r: r.update(experiment=[]), "must be a mapping"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_record_that_does_not(record, change):
    change, message = CHANGED[change]
    changed = copy.deepcopy(record)
    change(changed)
    with pytest.raises((ValueError, KeyError, TypeError), match=message):
        records.check(changed, whole=True)


@pytest.mark.parametrize("algorithm", ["aevb", "wake_sleep", "full_vb", "mcem"])
def test_a_model_is_known_by_its_algorithm_and_by_what_it_has_learned_from(algorithm, faces):
    settings = {"hidden": 5, "n_train": 20, "measure": "marginal_log_likelihood"}
    experiment = Experiment("synthetic_faces", 2, 1000, algorithm, **settings)
    model = experiment.build(faces)
    records.check_model(model, experiment, 0)
    with pytest.raises(ValueError, match="it has learned from 0 samples, not from 1000"):
        records.check_model(model, experiment, 1000)
    other = dataclasses.replace(experiment, algorithm="aevb" if algorithm != "aevb" else "full_vb")
    with pytest.raises(ValueError, match="it is a"):
        records.check_model(model, other, 0)
