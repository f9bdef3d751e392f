"""Every figure with real and embedded data, at every preset, with one seed and three: its layout.

The curves are drawn by hand, about where those of such runs lie; the renderer's own boxes tell
whether anything lies on anything else.
"""

import dataclasses
import re
import types

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex
from oracles.layout import legend_labels, problems

from vae_keras import datasets, distributions
from vae_keras.reproduction import figures, paper, presets, style
from vae_keras.reproduction.experiments import Experiment

REAL = datasets.TITLES
EMBEDDED = {
    "mnist_5k": "embedded digits (5,000 of MNIST)",
    "synthetic_faces": "embedded faces (synthetic, not Frey Face)",
}
DATA = {
    "real": REAL,
    "embedded": EMBEDDED,
    "faces embedded": {
        "mnist": REAL["mnist"],
        "synthetic_faces": EMBEDDED["synthetic_faces"],
    },
}


def bound(dataset, latent_dim, algorithm, samples):
    """About what the bound is; wake-sleep collapses with 200 latent variables."""
    if algorithm == "wake_sleep" and latent_dim == 200 and samples > 10**6:
        return -257.4
    decades = np.log10(samples / 100)
    lag = {"aevb": 0, "full_vb": 0.3, "wake_sleep": 0.4, "mcem": 0.8}[algorithm]
    if "face" in dataset:
        top = 575 if algorithm == "wake_sleep" else 700 + 40 * min(latent_dim, 20)
        return top * (1 - np.exp(-decades)) - 528 * np.exp(-2 * decades)
    return -95 - 25 * (latent_dim < 5) - 448 * np.exp(-0.9 * max(decades - lag, 0))


def curves(titles, settings, algorithms, seeds, **about):
    rows = [
        {
            "dataset": name,
            **about,
            "latent_dim": n,
            "algorithm": algorithm,
            "split": split,
            "samples": samples,
            "lower_bound": bound(name, n, algorithm, samples) + 2 * (split == "train") + seed,
            "seed": seed,
        }
        for name in titles
        for n in (settings.mnist_latent_dims if "mnist" in name else settings.frey_face_latent_dims)
        for algorithm in algorithms
        for samples in Experiment(name, n, settings.samples).recorded_at
        for split in ("train", "test")
        for seed in seeds
    ]
    return pd.DataFrame(rows)


SEEDS = pytest.mark.parametrize("seeds", [[0], [0, 1, 2]], ids=["one seed", "three seeds"])
PRESETS = pytest.mark.parametrize("preset", presets.NAMES)


def expected_labels(algorithms, seeds):
    labels = [f"{style.ALGORITHMS[a]}, {s}" for a in algorithms for s in ("train", "test")]
    return labels + ["range of 3 seeds"] * (len(seeds) > 1)


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", DATA)
def test_figure_2(data, preset, seeds):
    titles, settings = DATA[data], presets.resolve(preset)
    algorithms = ["aevb", "wake_sleep"]
    table = curves(titles, settings, algorithms, seeds)
    figure = figures.lower_bound(table, titles)
    assert problems(figure) == []
    wide = [line for axis in figure.axes for line in axis.lines if line.get_linewidth() == 3.5]
    assert bool(wide) == (data != "embedded")  # behind the embedded data there are no such curves
    labels = expected_labels(algorithms, seeds) + ["the paper's own curves"] * bool(wide)
    assert legend_labels(figure) == labels
    for part, title in zip(figure.subfigs, titles.values(), strict=True):
        assert part.get_suptitle() == title


def test_a_curve_of_one_point_can_be_seen_and_the_axis_ends_with_the_data():
    """As a run of 2,000 samples in one execution leaves it."""
    table = curves(EMBEDDED, presets.resolve("smoke"), ["aevb", "wake_sleep"], [0])
    table = table[(table.dataset != "mnist_5k") | (table.samples == 2000)]
    figure = figures.lower_bound(table, EMBEDDED)
    assert problems(figure) == []
    for axis in figure.axes:
        assert axis.get_xlim()[1] < 2400
        assert {line.get_marker() for line in axis.lines} == {"^", "o"}
    assert problems(figures.full_vb(table[table.dataset == "mnist_5k"], "digits")) == []
    long = curves(REAL, presets.resolve("quick"), ["aevb"], [0])
    for axis in figures.lower_bound(long, REAL).axes:
        assert {line.get_marker() for line in axis.lines} <= {"None", ""}


def test_of_the_papers_curves_only_the_algorithms_in_the_key_are_drawn():
    table = curves(REAL, presets.resolve("smoke"), ["aevb"], [0])
    figure = figures.lower_bound(table, REAL)
    assert len({to_hex(line.get_color()) for axis in figure.axes for line in axis.lines}) == 1
    assert legend_labels(figure) == ["AEVB, train", "AEVB, test", "the paper's own curves"]


def test_where_data_are_embedded_the_axes_fit_them():
    table = curves(EMBEDDED, presets.resolve("quick"), ["aevb"], [0])
    for part in figures.lower_bound(table, EMBEDDED).subfigs:
        values = np.concatenate([x.get_ydata() for axis in part.axes for x in axis.lines])
        low, high = part.axes[0].get_ylim()
        assert low < values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() < high
    table = curves(REAL, presets.resolve("quick"), ["aevb"], [0])
    limits = [part.axes[0].get_ylim() for part in figures.lower_bound(table, REAL).subfigs]
    assert limits == [(-150, -95), (0, 1600)]  # the paper's


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", ["real", "embedded"])
@pytest.mark.parametrize("theirs", [False, True], ids=["ours", "and the paper's"])
def test_figure_3(data, preset, seeds, theirs, monkeypatch):
    name, title = next(iter(DATA[data].items()))
    settings = dataclasses.replace(presets.resolve(preset), mnist_latent_dims=[3])
    algorithms = ["aevb", "wake_sleep", "mcem"]
    sizes = settings.n_train if data == "real" else [min(n, 4000) for n in settings.n_train]
    table = pd.concat(curves([name], settings, algorithms, seeds, n_train=n) for n in sizes).rename(
        columns={"lower_bound": "marginal_log_likelihood"}
    )
    if theirs:  # nobody has read them off yet
        read_off = table[table.seed == 0].assign(dataset="mnist")[list(paper.figure3().columns)]
        monkeypatch.setattr(paper, "figure3", lambda: read_off)
    figure = figures.marginal_likelihood(table, title)
    assert problems(figure) == []
    drawn = theirs and data == "real"
    labels = expected_labels(algorithms, seeds) + ["the paper's own curves"] * drawn
    assert legend_labels(figure) == labels
    assert [axis.get_title().split("= ")[1] for axis in figure.axes] == [f"{n:,}" for n in sizes]


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", ["real", "embedded"])
def test_full_vb(data, preset, seeds):
    name, title = next(iter(DATA[data].items()))
    settings = dataclasses.replace(presets.resolve(preset), mnist_latent_dims=[10])
    table = curves([name], settings, ["aevb", "full_vb"], seeds)
    figure = figures.full_vb(table, f"{title}, $N_{{train}}$ = 1,000, $N_z$ = 10")
    assert problems(figure) == []
    assert legend_labels(figure) == expected_labels(["aevb", "full_vb"], seeds)


def run(name, title, samples, latent_dim=2):
    """What a figure needs of a run; the model paints noise."""
    shape = (28, 28) if "mnist" in name else (28, 20)
    random = np.random.default_rng(0)

    def images(n):
        return random.uniform(size=(n, np.prod(shape))).astype(np.float32)

    model = types.SimpleNamespace(
        prior=distributions.standard_normal(latent_dim),
        decode=lambda z: types.SimpleNamespace(mean=lambda: tf.constant(images(len(z)))),
        sample=lambda n, mean: images(n),
    )
    data = types.SimpleNamespace(title=title, image_shape=shape)
    experiment = types.SimpleNamespace(latent_dim=latent_dim)
    return types.SimpleNamespace(model=model, data=data, samples=samples, experiment=experiment)


@PRESETS
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("face_grid", "digit_grid"), [(10, 20), (2, 2)])
def test_figure_4(data, preset, face_grid, digit_grid):
    samples = presets.resolve(preset).samples
    digits, faces = (run(name, title, samples) for name, title in DATA[data].items())
    spread = 9 if preset == "smoke" else 1  # codes far out, as an untrained encoder may give them
    z = spread * np.random.default_rng(0).normal(size=(1000, 2))
    codes = pd.DataFrame({"z1": z[:, 0], "z2": z[:, 1], "digit": np.arange(1000) % 10})
    figure = figures.manifold(faces, digits, face_grid, digit_grid, codes)
    assert problems(figure) == []
    legend = figure.axes[2].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list("0123456789")


@PRESETS
@pytest.mark.parametrize("data", ["real", "embedded"])
@pytest.mark.parametrize("sizes", [[2], [2, 5, 10, 20], list(range(1, 11))], ids=len)
def test_figure_5(data, preset, sizes):
    name, title = next(iter(DATA[data].items()))
    runs = [run(name, title, presets.resolve(preset).samples, n) for n in sizes]
    figure = figures.samples(runs, 10)
    assert problems(figure) == []
    titles = [axis.get_title().split(") ")[1] for axis in figure.axes]
    assert titles == [f"{n}-D latent space" for n in sizes]
    assert title in figure.get_suptitle().replace("\n", " ")


def test_figure_1():
    assert problems(figures.graphical_model()) == []


def test_the_titles_are_those_of_the_data():
    for name, title in EMBEDDED.items():
        assert datasets.load(name).title == title


SPOILED = {
    "'a note' lies on a curve": lambda f, a: a.text(1.99, 1.99, "a note"),
    "leaves the page": lambda f, a: a.set_title("a title " * 20),
    "'a title' lies on 'over it'": lambda f, a: f.text(0.5, 0.95, "over it"),
    "ends at 3.0, outside its axes": lambda f, a: a.set_ylim(0, 2.5),
    "is one point, and has no mark": lambda f, a: a.plot([2], [2]),
    "ends beside its axes": lambda f, a: a.set_xlim(0, 2.5),
    "points of 'a title' lie outside": lambda f, a: a.scatter([1, 9], [1, 2]) and a.set_xlim(0, 4),
}


@pytest.mark.parametrize("message", [None, *SPOILED])
def test_the_layout_test_sees_what_is_wrong(message):
    figure, axis = plt.subplots(layout="constrained")
    axis.plot([1, 2, 3], [1, 2, 3])
    axis.set(title="a title", xlabel="x")
    if message is None:
        assert problems(figure) == []
        return
    SPOILED[message](figure, axis)
    assert re.search(message, "; ".join(problems(figure)))
