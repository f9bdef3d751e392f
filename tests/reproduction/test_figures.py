"""Every figure with real and embedded data, at every preset, with one seed and three: its layout.

The curves are drawn by hand, about where those of such runs lie; the renderer's own boxes tell
whether anything lies on anything else.
"""

import dataclasses
import json
import re
import types

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex
from oracles.layout import legend_labels, problems

from vae_keras import VAE, datasets, distributions, networks
from vae_keras.reproduction import (
    figures,
    measures,
    paper,
    paths,
    provenance,
    style,
)
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.settings import (
    GraphicalModel,
    LowerBound,
    MarginalLikelihood,
    Samples,
)
from vae_keras.traversals import traversal

REAL = datasets.TITLES
EMBEDDED = {
    "mnist_5k": "embedded digits (5,000 of MNIST)",
    "synthetic_faces": "embedded faces (synthetic, not Frey Face)",
}
DATA = {"real": REAL, "embedded": EMBEDDED}


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


def curves(titles, settings, algorithms, seeds, measure="lower_bound", **about):
    splits = ("train", "test") if measure == "marginal_log_likelihood" else CALLED
    rows = [
        {
            "dataset": name,
            **about,
            "latent_dim": n,
            "algorithm": algorithm,
            "split": split,
            "samples": samples,
            measure: bound(name, n, algorithm, samples * (0.8 if split == "running" else 1))
            + 2 * (split == "train")
            + seed,
            "seed": seed,
        }
        for name in titles
        for n in (settings.mnist_latent_dims if "mnist" in name else settings.frey_face_latent_dims)
        for algorithm in algorithms
        for samples in recorded(name, n, settings.samples, algorithm, measure)
        for split in splits
        for seed in seeds
    ]
    return pd.DataFrame(rows)


OF_FIGURE_3 = ["aevb", "wake_sleep", "mcem"]


def of_figure_3(samples, sizes, algorithms=OF_FIGURE_3, seeds=(0,), name="mnist"):
    settings = LowerBound(samples=samples, mnist_latent_dims=[3])
    measure = "marginal_log_likelihood"
    return pd.concat(curves([name], settings, algorithms, seeds, measure, n_train=n) for n in sizes)


def recorded(name, latent_dim, samples, algorithm, measure):
    """Each algorithm has points of its own."""
    experiment = Experiment(name, latent_dim, samples, algorithm, measure=measure)
    return sorted({*measures.grid(experiment, samples), samples})


CALLED = {
    "train": "training set", "running": "running mean", "test": "test set",
}  # fmt: skip
SEEDS = pytest.mark.parametrize("seeds", [[0], [0, 1, 2]], ids=["one seed", "three seeds"])
PRESETS = pytest.mark.parametrize(
    "preset",
    ["paper", *(pytest.param(n, marks=pytest.mark.long) for n in ("smoke", "quick", "standard"))],
)


def expected_labels(algorithms, seeds, splits=("train", "test"), theirs=False):
    labels = [f"{style.ALGORITHMS[a]}, {CALLED[s]}" for a in algorithms for s in splits]
    labels += ["range of 3 seeds"] * (len(seeds) > 1)
    return labels + [f"the paper, {CALLED[s]}" for s in sorted(splits) if theirs]


LONGEST = 10**8  # samples of a run, whose number makes the widest title
FIGURE_2 = ("running", "test")  # of the splits that are recorded


def hollow(axis):
    """The lines of an axis that are the paper's points: marks without anything between them."""
    return [line for line in axis.lines if line.get_linestyle() == "None"]


def thin(axis):
    return [line for line in axis.lines if line.get_linewidth() < 1 and line not in hollow(axis)]


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", DATA)
def test_figure_2(data, preset, seeds):
    titles, settings = DATA[data], LowerBound(preset=preset)
    algorithms = ["aevb", "wake_sleep"]
    table = curves(titles, settings, algorithms, seeds)
    figure = figures.lower_bound(table, titles)
    assert problems(figure) == []
    theirs = [line for axis in figure.axes for line in hollow(axis)]
    # Behind embedded data there are none, nor before the paper's first.
    assert bool(theirs) == (data != "embedded" and preset != "smoke")
    labels = expected_labels(algorithms, seeds, FIGURE_2, bool(theirs))
    assert legend_labels(figure) == labels
    said = " and ".join(titles.values()) if data == "embedded" else ""
    assert figure.get_suptitle().replace("\n", " ") == said
    names = [axis.get_title().partition(", ")[0][4:] for axis in figure.axes]
    short = {"real": ["MNIST", "Frey Face"], "embedded": ["digits", "faces"]}[data]
    assert list(dict.fromkeys(names)) == short
    (part,) = figure.subfigs
    assert part.get_supxlabel() == "training samples evaluated"
    assert {axis.get_xscale() for axis in figure.axes if axis.lines} == {"log"}


@pytest.mark.parametrize("preset", ["standard", "paper"])
def test_seeds_that_have_come_less_far_are_a_range_as_far_as_they_have(preset):
    settings = LowerBound(preset=preset)
    table = curves(REAL, settings, ["aevb", "wake_sleep"], [0, 1, 2])
    whole = table.samples.max()
    behind = (table.seed > 0) & (table.samples > whole / 10)
    slow = (table.algorithm == "wake_sleep") & (table.samples > whole / 4)
    table = table[~behind & ~slow]
    figure = figures.lower_bound(table, REAL)
    assert problems(figure) == []
    power = {"standard": 6, "paper": 7}[preset]
    assert f"range of 3 seeds, up to $10^{{{power}}}$" in legend_labels(figure)
    assert "end of an unfinished run" in legend_labels(figure)
    axis = next(a for a in figure.axes if a.get_title().endswith("MNIST, $N_z$ = 20"))
    bars = {tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "|"}
    slow = table.query("algorithm == 'wake_sleep' and latent_dim == 20 and dataset == 'mnist'")
    slow = slow[(slow.samples == slow.samples.max()) & (slow.split != "train")]
    assert bars == set(zip(slow.samples, slow.lower_bound, strict=True))
    seed_0 = table[(table.dataset == "mnist") & (table.latent_dim == 20) & (table.seed == 0)]
    seed_0 = seed_0[(seed_0.algorithm == "aevb") & (seed_0.split == "test")]
    seed_0 = seed_0[seed_0.samples >= figures.FIRST_SHOWN]
    lines = [line.get_ydata() for line in axis.lines if line.get_linestyle() == "-"]
    assert any(np.array_equal(line, seed_0.lower_bound) for line in lines)  # not the mean
    for band in axis.collections:
        assert band.get_paths()[0].vertices[:, 0].max() <= whole / 10


def test_a_curve_of_one_point_can_be_seen_and_the_axis_ends_with_the_data():
    """As a run of 2,000 samples in one execution leaves it."""
    table = curves(EMBEDDED, LowerBound(preset="smoke"), ["aevb", "wake_sleep"], [0])
    table = table[(table.dataset != "mnist_5k") | (table.samples == 2000)]
    figure = figures.lower_bound(table, EMBEDDED)
    assert problems(figure) == []
    for axis in figure.axes:
        assert axis.get_xlim()[1] < 2400
        assert {line.get_marker() for line in axis.lines} == {"v", "o"}
    assert problems(figures.full_vb(table[table.dataset == "mnist_5k"], "digits")) == []
    long = curves(REAL, LowerBound(preset="standard"), ["aevb"], [0])
    for axis in figures.lower_bound(long, REAL).axes:
        ours = set(axis.lines) - set(hollow(axis))
        assert {line.get_marker() for line in ours} <= {"None", ""}


@pytest.mark.parametrize("splits", [FIGURE_2, ["test"]])
def test_of_the_papers_points_only_those_of_curves_in_the_key_are_drawn(splits):
    """Beside digits, and not beside embedded faces; of a run of an older recipe, none running."""
    titles = {"mnist": REAL["mnist"], "synthetic_faces": EMBEDDED["synthetic_faces"]}
    table = curves(titles, LowerBound(preset="quick"), ["aevb"], [0])
    figure = figures.lower_bound(table[table.split.isin(splits)], titles)
    assert problems(figure) == []
    assert legend_labels(figure) == expected_labels(["aevb"], [0], splits, theirs=True)
    assert len({to_hex(line.get_color()) for axis in figure.axes for line in axis.lines}) == 1
    digits, faces = (
        [line for a in figure.axes if kind in a.get_title() for line in hollow(a)]
        for kind in ("MNIST", "faces")
    )
    assert {line.get_marker() for line in digits} == {style.MARKS[split] for split in splits}
    assert faces == []


def test_where_data_are_embedded_the_axes_fit_what_the_curves_come_to():
    """They end a little below the lowest end of a curve, and a little above the top."""
    table = curves(EMBEDDED, LowerBound(preset="quick"), ["aevb"], [0])
    figure = figures.lower_bound(table, EMBEDDED)
    for kind in ("digits", "faces"):
        axes = [axis for axis in figure.axes if kind in axis.get_title()]
        lines = [line for axis in axes for line in axis.lines]
        lowest = min(line.get_ydata()[-1] for line in lines)
        top = max(line.get_ydata().max() for line in lines)
        low, high = axes[0].get_ylim()
        assert low < lowest <= low + 0.1 * (high - low)
        assert high - 0.2 * (high - low) < top < high
    table = curves(REAL, LowerBound(preset="quick"), ["aevb"], [0])
    limits = [axis.get_ylim() for axis in figures.lower_bound(table, REAL).axes]
    assert limits[3] == (-150, -95)  # the paper's
    assert limits[-1] == (0, 1600)
    low, high = limits[0]  # N_z = 3: the same length, where its curves are
    assert low < -150
    assert high - low == pytest.approx(55)


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", DATA)
def test_figure_3(data, preset, seeds):
    name, title = next(iter(DATA[data].items()))
    settings = MarginalLikelihood(preset=preset)
    sizes = [n if data == "real" else min(n, 4000) for n in settings.n_train]
    table = of_figure_3(settings.samples, sizes, OF_FIGURE_3, seeds, name)
    figure = figures.marginal_likelihood(table, title)
    assert problems(figure) == []
    theirs = data == "real" and preset != "smoke"
    labels = [style.ALGORITHMS[name] for name in OF_FIGURE_3]
    labels += ["range of 3 seeds"] * (len(seeds) > 1) + ["the paper"] * theirs
    assert legend_labels(figure) == labels
    named = [axis.get_title().split("= ")[1] for axis in figure.axes]
    assert named == [f"{n:,}, {of}" for of in ("training set", "test set") for n in sizes]
    first = {1000: 194_800, 50_000: 1_788_000} if data == "real" else {}  # of the paper's points
    last = table.samples.max()
    drawn = [bool(hollow(axis)) for axis in figure.axes]
    assert drawn == 2 * [n in first and first[n] <= last for n in sizes]


@SEEDS
def test_differences(seeds):
    of_2 = curves(REAL, LowerBound(preset="paper"), ["aevb", "wake_sleep"], seeds)
    of_3 = of_figure_3(LONGEST, (1000, 50_000), ["aevb"], seeds)
    found = pd.concat([paper.differences(of_2), paper.differences(of_3)])
    figure = figures.differences(found)
    assert problems(figure) == []
    titles = [axis.get_title() for axis in figure.axes]
    assert ["MNIST" in titles[4], "Frey Face" in titles[5], "1,000" in titles[9]] == [True] * 3
    faces = found.query("dataset == 'frey_face' and latent_dim == 2 and algorithm == 'aevb'")
    faces = faces[faces.split == "test"]
    per_cent = 100 * faces.difference / faces.paper.abs()
    lines = [line.get_ydata() for line in figure.axes[5].lines]
    assert any(len(y) == len(faces) and np.allclose(y, per_cent) for y in lines)
    for axis in figure.axes:
        low, high = axis.get_ylim()
        assert low == -high
        assert all(np.all(np.abs(line.get_ydata()) < high) for line in axis.lines)


def test_the_differences_of_few_samples_have_an_axis_that_can_be_read():
    of_2 = curves(REAL, LowerBound(preset="paper"), ["aevb", "wake_sleep"], [0])
    of_3 = of_figure_3(LONGEST, (1000,), ["aevb", "mcem"], [0])
    found = pd.concat([paper.differences(of_2), paper.differences(of_3)])
    assert len(figures.differences(found).axes) == 10  # and no empty ones beside the last
    figure = figures.differences(found[found.samples < 300_000])
    assert problems(figure) == []
    for axis in figure.axes:
        assert 2 <= sum(bool(tick.get_text()) for tick in axis.get_xticklabels()) <= 5


def test_of_embedded_data_there_is_nothing_to_differ_from():
    table = curves(EMBEDDED, LowerBound(preset="smoke"), ["aevb"], [0])
    nothing = paper.differences(table).assign(n_train=np.nan)
    figure = figures.differences(nothing)
    assert problems(figure) == []
    assert "no points of these data" in figure.axes[0].texts[0].get_text()


def test_the_bound_is_drawn_where_it_is_what_the_papers_points_are_like():
    table = of_figure_3(LONGEST, (1000, 50_000), ["aevb", "mcem"])
    bounds = table.marginal_log_likelihood - 3
    table["lower_bound"] = np.where(table.algorithm == "aevb", bounds, np.nan)
    figure = figures.marginal_likelihood(table, "MNIST")
    assert problems(figure) == []
    assert "AEVB's lower bound" in legend_labels(figure)
    assert [len(thin(axis)) for axis in figure.axes] == [0, 1, 0, 1]


def test_an_encoder_at_rest_is_a_thin_line_on_faces():
    table = curves(REAL, LowerBound(preset="standard"), ["aevb", "wake_sleep"], [0])
    rows = [(2, split, n, 577.0) for split in FIGURE_2 for n in (3 * 10**5, 10**7, 10**8)]
    at_rest = pd.DataFrame(rows, columns=["latent_dim", "split", "samples", "here"])
    figure = figures.lower_bound(table, REAL, at_rest)
    assert problems(figure) == []
    assert "wake-sleep, untrained encoder, test set" in legend_labels(figure)
    label = figures.AT_REST["label"]
    at_rests = [line for axis in figure.axes for line in axis.lines if line.get_label() == label]
    assert [line.axes.get_title().endswith("$N_z$ = 2") for line in at_rests] == [True]
    assert list(at_rests[0].get_xdata()) == [3 * 10**5, 10**7]
    embedded = curves(EMBEDDED, LowerBound(preset="quick"), ["aevb", "wake_sleep"], [0])
    labels = legend_labels(figures.lower_bound(embedded, EMBEDDED, at_rest))
    assert not any("untrained" in label for label in labels)


@SEEDS
@PRESETS
@pytest.mark.parametrize("data", DATA)
def test_full_vb(data, preset, seeds):
    name, title = next(iter(DATA[data].items()))
    settings = dataclasses.replace(LowerBound(preset=preset), mnist_latent_dims=[10])
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
    return types.SimpleNamespace(
        model=model, data=data, learned_from=title, samples=samples, experiment=experiment
    )


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("face_grid", "digit_grid", "spread"), [(10, 20, 1), (2, 2, 9)])
def test_figure_4(data, face_grid, digit_grid, spread):
    """Of the longest runs, and with codes far out, as an untrained encoder may give them."""
    digits, faces = (run(name, title, LONGEST) for name, title in DATA[data].items())
    z = spread * np.random.default_rng(0).normal(size=(1000, 2))
    codes = pd.DataFrame({"z1": z[:, 0], "z2": z[:, 1], "digit": np.arange(1000) % 10})
    figure = figures.manifold(faces, digits, face_grid, digit_grid, codes)
    assert problems(figure) == []
    for axis, title in zip(figure.axes[:2], (faces.data.title, digits.data.title), strict=True):
        assert title.replace(" (", "\n(") in axis.get_title()
    assert [text.get_text() for text in figure.axes[2].texts] == list("0123456789")


def test_a_class_is_named_where_it_is_dense_and_the_others_are_not():
    """Two classes share the middle, where the median of both lies; each has a place of its own."""
    own = {0: (-3.0, 0.0), 1: (3.0, 0.0)}
    rows = [(x, y, d) for d, (x, y) in own.items() for _ in range(5)]
    rows += [(0.01 * i, 0.0, i % 2) for i in range(20)]
    found = figures.class_places(pd.DataFrame(rows, columns=["z1", "z2", "digit"]), 0.4)
    assert {d: tuple(place) for d, place in found.items()} == own
    together = pd.DataFrame([(0.0, 0.1 * d, d) for d in range(10)], columns=["z1", "z2", "digit"])
    places = np.stack(list(figures.class_places(together, 0.4).values()))
    distance = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(10)
    assert distance.min() >= 0.4


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("sizes", [[2], [2, 5, 10, 20], list(range(1, 11))], ids=len)
def test_figure_5(data, sizes):
    name, title = next(iter(DATA[data].items()))
    runs = [run(name, title, LONGEST, n) for n in sizes]
    figure = figures.samples(runs, 10)
    assert problems(figure) == []
    titles = [axis.get_title().split(") ")[1] for axis in figure.axes]
    assert titles == [f"{n}-D latent space" for n in sizes]
    assert title in figure.get_suptitle().replace("\n", " ")


@pytest.mark.parametrize(
    ("latent_dim", "dims", "n"), [(2, None, 7), (20, range(20), 11), (9, [8, 0], 2)]
)
@pytest.mark.parametrize("name", ["mnist_5k", "synthetic_faces"])
def test_traversals(name, latent_dim, dims, n):
    data = datasets.load(name)
    pixels = data.x_test.shape[1]
    vae = VAE(
        networks.gaussian_encoder(pixels, 5, latent_dim),
        networks.bernoulli_decoder(latent_dim, 5, pixels),
    )
    values = np.linspace(-3, 3, n)
    figure = figures.traversals(vae, data, 3, dims, values)
    assert problems(figure) == []
    assert data.title in figure.get_suptitle().replace("\n", " ")
    (axis,) = figure.axes
    rows = list(range(latent_dim) if dims is None else dims)
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        f"$z_{{{dim + 1}}}$" for dim in rows
    ]
    height, width = data.image_shape
    picture = np.asarray(axis.images[0].get_array())
    means = traversal(vae, data.x_test[3], rows, values)
    last = picture[-height:, -width:]  # the last dimension at its last value
    np.testing.assert_allclose(last.ravel(), means[-1, -1], atol=1e-6)


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


COLUMNS = ["dataset", "latent_dim", "algorithm", "split", "samples", "lower_bound", "seed"]


def test_the_latent_grid_goes_through_the_inverse_cdf():
    from scipy.stats import norm

    grid = figures.latent_grid(4)
    assert grid.shape == (16, 2)
    levels = np.array([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(norm.cdf(grid[:4, 0]), levels, atol=1e-6)  # left to right
    np.testing.assert_allclose(norm.cdf(grid[::4, 1]), levels[::-1], atol=1e-6)  # top to bottom


def test_tiles_lie_row_by_row():
    images = np.arange(6)[:, None] * np.ones((1, 4))
    picture = figures.tile(images, (2, 2), columns=3)
    np.testing.assert_array_equal(picture[::2, ::2], [[0, 1, 2], [3, 4, 5]])


def test_a_manifold_needs_two_dimensions(faces):
    model = Experiment("synthetic_faces", 3, 100).build(faces)
    with pytest.raises(ValueError, match=r"2-D latent space, but this one's is \(3,\)"):
        figures.manifold_means(model, 5)


@pytest.mark.long
def test_a_figure_with_other_parameters_lies_elsewhere_and_is_not_fresh(tmp_path, monkeypatch):
    """No other run overwrites the figures of a preset."""
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    monkeypatch.setattr(Samples, "runs", lambda self: [])
    name, figure, ran = "fig_samples", figures.graphical_model(), provenance.code("fig_samples")
    quick = Samples()

    def save(**given):
        return figures.save(figure, Samples(**given), ran)

    assert save() == tmp_path / "quick"
    assert provenance.is_fresh(quick, tmp_path / "quick")
    before = (tmp_path / "quick" / f"{name}.json").read_bytes()
    for other in ({"seed": 7}, {"step_size": 0.1}, {"samples": 1000}, {"rows": 3}):
        assert save(**other) == tmp_path / "custom"
    assert save(samples=10**6) == tmp_path / "quick"  # the same
    assert save(preset="smoke") == tmp_path / "smoke"
    assert json.loads((tmp_path / "quick" / f"{name}.json").read_bytes())["preset"] == "quick"
    assert json.loads(before)["parameters"] == quick.parameters
    chosen = tmp_path / "mine"
    assert save(seed=7, figures_dir=str(chosen)) == chosen
    assert not provenance.is_fresh(quick, chosen)
    monkeypatch.chdir(tmp_path)
    assert str(save(figures_dir=2024)) == "2024"  # a path too
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save(figures_dir="~/figs") == tmp_path / "figs"


def test_a_folder_of_ones_own_needs_no_project_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(paths.os, "access", lambda *_: False)
    monkeypatch.delenv("VAE_KERAS_RESULTS", raising=False)
    settings = GraphicalModel(figures_dir=str(tmp_path))
    ran = provenance.code(settings.name)
    assert figures.save(figures.graphical_model(), settings, ran) == tmp_path
    with pytest.raises(OSError, match="the parameter figures_dir"):
        figures.save(figures.graphical_model(), GraphicalModel(), ran)


def test_the_figure_names_what_lies_below_its_axis():
    rows = [
        ("mnist", 200, algorithm, split, samples, bound, 0)
        for algorithm, bound in (("aevb", -110.0), ("wake_sleep", -257.4))
        for split in FIGURE_2
        for samples in (10**5, 10**6)
    ]
    figure = figures.lower_bound(pd.DataFrame(rows, columns=COLUMNS), {"mnist": "MNIST"})
    assert figure.axes[0].get_title() == "(a) MNIST, $N_z$ = 200\nwake-sleep ends at -257"


def test_figure_3_has_the_papers_points_as_far_as_ours_go():
    table = of_figure_3(5 * 10**6, (1000, 50_000))
    figure = figures.marginal_likelihood(table, "MNIST")
    assert [len(axis.lines) for axis in figure.axes] == [6, 5, 6, 5]
    # Those of Monte Carlo EM with 50,000 come later.
    assert [len(hollow(axis)) for axis in figure.axes] == [3, 2, 3, 2]
    assert figure.subfigs[0].get_supxlabel() == "training samples evaluated (millions)"
    ours, theirs = (
        max(line.get_xdata().max() for line in lines)
        for lines in (figure.axes[0].lines[:3], hollow(figure.axes[0]))
    )
    assert ours == 5
    assert 4.5 < theirs <= 5.1  # the axis is linear, and ours fill it


def looks(line):
    """Its colour, whether it has gaps, its width, its alpha."""
    _, pattern = line._dash_pattern  # seaborn draws also a solid line as dashes, without gaps
    gaps = any((pattern or ())[1::2])
    return to_hex(line.get_color()), gaps, line.get_linewidth(), line.get_alpha()


def test_the_legend_calls_each_curve_what_it_is():
    """By its colour and its dashes; each curve is told by its height."""
    order = ["aevb", "wake_sleep", "mcem", "full_vb"]
    height = {
        (algorithm, split): -100.0 - 10 * i - 3 * j
        for i, algorithm in enumerate(order)
        for j, split in enumerate(CALLED)
    }
    rows = [
        ("mnist", 4, algorithm, split, samples, height[algorithm, split], 0)
        for algorithm, split in height
        for samples in (10**5, 2 * 10**5, 3 * 10**5, 4 * 10**5, 10**6)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    third = table.rename(columns={"lower_bound": "marginal_log_likelihood"}).assign(n_train=2000)
    third = figures.marginal_likelihood(third[third.split != "running"], "MNIST")
    for axis, split in zip(third.axes, ("train", "test"), strict=True):
        drawn = {line.get_ydata()[0]: line.get_color() for line in axis.lines}
        assert drawn == {height[name, split]: style.colours()[name] for name in order}
    for figure, splits in (
        (figures.lower_bound(table, {"mnist": "MNIST"}), FIGURE_2),
        (figures.full_vb(table, "MNIST"), ("train", "test")),
    ):
        legend = figure.legends[0]
        called = {
            text.get_text(): looks(line)[:2]
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        drawn = {line.get_ydata()[0]: looks(line)[:2] for line in figure.axes[0].lines
                 if not line.get_label().startswith("the paper")}  # fmt: skip
        expected = {
            f"{style.ALGORITHMS[algorithm]}, {CALLED[split]}": drawn[nats]
            for (algorithm, split), nats in height.items()
            if split in splits
        }
        assert called == expected
        assert len(drawn) == len(expected)
        assert {label for label in called if called[label][1]} == {
            label for label in expected if not label.endswith("test set")
        }


def test_the_papers_points_are_hollow_marks_upon_ours():
    """Up to where ours end, in the algorithm's colour, with the split's mark, and side by side."""
    table = curves(REAL, LowerBound(preset="standard"), ["aevb", "wake_sleep"], [0])
    figure, panels = figures.lower_bound(table, REAL), 0
    theirs = paper.figure2().query("run == 0 and samples <= 1.02 * 10**7")
    colours = {to_hex(colour): name for name, colour in style.colours().items()}
    marks = {mark: split for split, mark in style.MARKS.items()}
    sizes = zip("abcdefghi", (3, 5, 10, 20, 200, 2, 5, 10, 20), strict=True)
    titles = [
        f"({letter}) {'MNIST' if letter < 'f' else 'Frey Face'}, $N_z$ = {n}" for letter, n in sizes
    ]
    axes = [axis for axis in figure.axes if axis.lines]
    for k, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        assert axis.get_title().startswith(title)
        found = hollow(axis)
        ours = [line for line in axis.lines if line not in found]
        assert [looks(line)[2:] for line in ours] == 4 * [(1.2, None)]
        if not found:
            continue
        panels += 1
        assert all(line.get_markerfacecolor() == "none" for line in found)
        lines = {
            (colours[to_hex(line.get_color())], marks[line.get_marker()]): line for line in found
        }
        size, dataset = int(title.split("= ")[1]), "mnist" if k < 5 else "frey_face"
        panel = theirs[(theirs.dataset == dataset) & (theirs.latent_dim == size)]
        expected = dict(list(panel.groupby(["algorithm", "split"])))
        assert set(lines) == set(expected)
        for curve, line in lines.items():
            points = expected[curve][["samples", "lower_bound"]].to_numpy()
            places, shown = np.log(points[:, 0]), line.get_xydata()
            least = figures.CROWDED * np.ptp(places)
            assert {tuple(point) for point in shown} <= {tuple(point) for point in points}
            assert np.all(np.diff(np.log(shown[:, 0])) >= least)
            near = np.abs(places[:, None] - np.log(shown[:, 0])) < least
            assert near.any(1).all()  # what is left out has a neighbour that is not
    assert panels == len(titles)


def test_the_samples_are_means_and_lie_a_square_a_model():
    asked = []
    one = run("mnist", "MNIST", 1000)
    draw = one.model.sample
    one.model.sample = lambda n, mean=False: asked.append((n, mean)) or draw(n, mean)
    figure = figures.samples([one, one], 3)
    assert asked == 2 * [(9, True)]
    assert [axis.images[0].get_array().shape for axis in figure.axes] == 2 * [(84, 84)]


def test_the_codes_are_the_means_of_the_test_set():
    x = np.arange(12.0).reshape(4, 3)
    data = types.SimpleNamespace(x_train=-x, x_test=x, y_test=np.array([3, 1, 4, 1], "uint8"))

    def encode(x):
        return types.SimpleNamespace(mean=lambda: tf.constant(x[:, :2] + 1 / 3))

    table = figures.latent_codes(types.SimpleNamespace(encode=encode), data)
    assert table.to_dict("list") == {
        "z1": [0.3333, 3.3333, 6.3333, 9.3333],
        "z2": [1.3333, 4.3333, 7.3333, 10.3333],
        "digit": [3, 1, 4, 1],
    }


def test_the_axis_begins_where_the_papers_does_unless_all_is_before():
    table = pd.DataFrame({"samples": [1000, 10**5, 10**6]})
    assert list(figures._shown(table).samples) == [10**5, 10**6]
    table = pd.DataFrame({"samples": [1000, 10**4, 10**5]})
    assert list(figures._shown(table).samples) == [10**4, 10**5]
    assert list(figures._shown(table.iloc[:2]).samples) == [1000, 10**4]
