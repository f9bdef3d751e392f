"""Draw the figures from tables and trained models. Nothing is trained here.

Every figure that shows data names the data set in its title, and says if it is embedded.
"""

import io
import itertools
import json
import string
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter

from vae_keras import _files
from vae_keras.datasets import TITLES, Dataset
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.reproduction import paper, paths, presets, provenance, style
from vae_keras.reproduction.experiments import MANY
from vae_keras.reproduction.runs import Run
from vae_keras.reproduction.settings import Settings
from vae_keras.traversals import VALUES, traversal
from vae_keras.typing import Encoding

FIRST_SHOWN = 10**5  # training samples at which the paper's axis begins
ABOUT_ALL = 0.9  # of the samples of the longest curve: curves that end before that get a mark
CROWDED = 0.025  # minimum distance between drawn points of the paper, as a share of the axis
LINEAR = 5  # nats or per cent: limit of the linear part of the axis of differences
LATE = 0.25  # of the samples: figure 3's y axis covers all later values


def _suptitle(figure: Figure, text: str) -> None:
    """Set the title of the whole figure, wrapped to its width."""
    figure.suptitle(textwrap.fill(text, int(12 * figure.get_figwidth())))


def _after(runs: Sequence[Run]) -> str:
    """The training samples that the runs evaluated, or their range, as text for a title."""
    first, *more = sorted({run.samples for run in runs})
    return f"after evaluating {first:,}{f' to {more[-1]:,}' if more else ''} training samples"


def _in_two(title: str) -> str:
    """Move the part of a title in brackets, as of embedded data, to a line of its own."""
    return title.replace(" (", "\n(")


def graphical_model() -> Figure:
    """Figure 1: solid arrows for the model p(z) p(x|z), dashed ones for q(z|x)."""
    figure, axes = style.subplots(1, 1, figsize=(3.2, 2.6))
    radius, black = 0.32, "#000000"
    nodes = {  # centre, label, colour of the circle: a parameter has none, x is observed
        "phi": ((0.0, 1.4), r"$\phi$", None),
        "z": ((1.5, 1.4), r"$\mathbf{z}$", "white"),
        "theta": ((3.0, 1.4), r"$\theta$", None),
        "x": ((1.5, 0.0), r"$\mathbf{x}$", "#c8c8c8"),
    }
    for centre, label, face in nodes.values():
        if face:
            axes.add_patch(Circle(centre, radius, facecolor=face, edgecolor=black, zorder=2))
        axes.annotate(label, centre, ha="center", va="center", fontsize=13, zorder=3)

    def arrow(start, end, dashed=False, bend=0.0):
        a, b = (np.array(nodes[name][0]) for name in (start, end))
        gap_a, gap_b = (0.36 if nodes[name][2] else 0.2 for name in (start, end))
        unit = (b - a) / np.linalg.norm(b - a)
        axes.add_patch(
            FancyArrowPatch(
                a + gap_a * unit,
                b - gap_b * unit,
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>",
                mutation_scale=12,
                linestyle=(0, (4, 2)) if dashed else "-",
                color=black,
            )
        )

    arrow("z", "x")
    arrow("theta", "z")
    arrow("theta", "x")
    arrow("phi", "z", dashed=True)
    arrow("x", "z", dashed=True, bend=-0.6)
    box = FancyBboxPatch(
        (0.85, -0.62), 1.3, 2.55, boxstyle="round,pad=0,rounding_size=0.12", fill=False
    )
    axes.add_patch(box)
    axes.annotate(r"$N$", (2.03, -0.5), ha="center", va="center", fontsize=12)
    axes.set(xlim=(-0.4, 3.4), ylim=(-0.8, 2.1), aspect="equal")
    axes.axis("off")
    return figure


def latent_grid(n: int) -> np.ndarray:
    """`n` x `n` points of a 2-D latent space, (n * n, 2), row by row from the top left.

    They are the centres of n x n cells of the unit square, mapped through the inverse CDF of
    N(0, 1) (figure 4).
    """
    quantiles = scipy.stats.norm.ppf((np.arange(n) + 0.5) / n)
    z2, z1 = np.meshgrid(quantiles[::-1], quantiles, indexing="ij")
    return np.stack([z1.ravel(), z2.ravel()], axis=-1).astype(np.float32)


def tile(images: np.ndarray, image_shape: tuple[int, int], columns: int) -> np.ndarray:
    """Arrange flat images, (rows * columns, height * width), as one picture, row by row."""
    height, width = image_shape
    grid = images.reshape(-1, columns, height, width)
    return grid.transpose(0, 2, 1, 3).reshape(-1, columns * width)


def manifold_means(model: AutoEncoder, n: int) -> np.ndarray:
    """E[x|z] on `latent_grid(n)`, (n * n, pixels). Raises ValueError unless latent_dim is 2."""
    if tuple(model.prior.event_shape) != (2,):
        raise ValueError(
            f"a manifold needs a 2-D latent space, but this one's is "
            f"{tuple(model.prior.event_shape)}: use N_z = 2"
        )
    return model.decode(latent_grid(n)).mean().numpy()


def _show_images(axes, picture, title):
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="none")
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(False)


def manifold(
    faces: Run, digits: Run, face_grid: int, digit_grid: int, codes: pd.DataFrame
) -> Figure:
    """Figure 4: manifolds of (a) faces and (b) digits; (c) the digits' test set in latent space.

    `face_grid`, `digit_grid`: tiles along each side. `codes`: the result of `latent_codes`, with
    columns z1, z2, digit.
    """
    figure, axes = style.subplots(1, 3, figsize=(7.2, 3.2), width_ratios=(20 / 28, 1, 1))
    panels = ((faces, face_grid), (digits, digit_grid))
    for letter, axis, (run, n) in zip("ab", axes, panels, strict=False):
        picture = tile(manifold_means(run.model, n), run.data.image_shape, n)
        _show_images(axis, picture, f"({letter}) {_in_two(run.learned_from)}")
        axis.set(
            xlabel=r"$z_1$, quantiles of N(0, 1) $\rightarrow$",
            ylabel=r"$z_2$, quantiles of N(0, 1) $\rightarrow$",
        )
    axis = axes[2]
    sns.scatterplot(
        codes, x="z1", y="z2", hue="digit", palette=sns.color_palette("colorblind", 10), s=2,
        linewidth=0, alpha=0.5, ax=axis, legend=False, rasterized=True,
    )  # fmt: skip
    edge = max(4, 1.05 * codes[["z1", "z2"]].abs().to_numpy().max())
    for digit, place in class_places(codes, 0.12 * edge).items():
        axis.text(
            *place, str(digit), ha="center", va="center", weight="bold", fontsize=8,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    axis.set(
        title=f"(c) test set of {_in_two(digits.data.title)}",
        xlabel="$z_1$, mean of q(z|x)",
        ylabel="$z_2$, mean of q(z|x)",
        xlim=(-edge, edge),
        ylim=(-edge, edge),
        aspect="equal",
    )
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(MaxNLocator(5, steps=[2, 5, 10]))
    for axis in axes:  # the titles of embedded data are as wide as a panel
        plt.setp([axis.title, axis.xaxis.label, axis.yaxis.label], size="small")
    _suptitle(figure, f"Learned 2-D manifolds, E[x|z], {_after([faces, digits])}")
    for _ in range(3):  # with images of fixed aspect the layout needs several passes
        figure.draw_without_rendering()
    return figure


def class_places(codes: pd.DataFrame, apart: float) -> dict[int, np.ndarray]:
    """Digit -> where to name its class: where it is dense and the others are not.

    `codes`: columns z1, z2, digit, of which the first 1,500 rows count. Names are moved until any
    two have a distance of at least `apart`. Medians would not do: those of 5 and 8 nearly coincide.
    """
    codes = codes[:1500]
    z, digits = codes[["z1", "z2"]].to_numpy(), codes.digit.to_numpy()
    kernel = np.exp(-np.square(z[:, None] - z).sum(-1) / (2 * 0.3**2))
    names = np.unique(digits)
    density = np.stack([kernel[:, digits == name].sum(1) for name in names])
    fit = density**2 / kernel.sum(1)  # density times the share of the class
    places = z[np.argmax(np.where(digits == names[:, None], fit, 0), axis=1)]
    for _ in range(1000):
        away = places[:, None] - places
        distance = np.linalg.norm(away, axis=-1) + apart * np.eye(len(places))
        if distance.min() >= apart:
            break
        push = np.clip(1.01 * apart / np.maximum(distance, 1e-9) - 1, 0, None) / 2
        places = places + np.einsum("ijk,ij->ik", away, push) / 2
    return dict(zip(names.tolist(), places, strict=True))


def latent_codes(model: AutoEncoder, data: Dataset) -> pd.DataFrame:
    """The mean of q(z|x) for every test image: columns z1, z2, digit."""
    if data.y_test is None:
        raise ValueError(f"{data.title} has no labels to tell its codes apart by")
    codes = model.encode(data.x_test).mean().numpy().round(4)
    return pd.DataFrame({"z1": codes[:, 0], "z2": codes[:, 1], "digit": data.y_test.astype(int)})


def samples(runs: list[Run], side: int) -> Figure:
    """Figure 5: `side` x `side` draws of z ~ p(z), shown as E[x|z], from each model."""
    columns = min(2, len(runs))
    rows = -(-len(runs) // columns)
    size = (3.3 * columns, 3.5 * rows + 0.5)
    figure, axes = style.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(runs) :]:
        axis.remove()
    for letter, axis, run in zip(string.ascii_letters, axes.flat, runs, strict=False):
        picture = tile(run.model.sample(side * side, mean=True), run.data.image_shape, side)
        _show_images(axis, picture, f"({letter}) {run.experiment.latent_dim}-D latent space")
    _suptitle(figure, f"{runs[0].learned_from}: E[x|z] at random z, {_after(runs)}")
    return figure


def lower_bound(
    table: pd.DataFrame, titles: dict[str, str], at_rest: pd.DataFrame | None = None
) -> Figure:
    """Figure 2: the lower bound against training samples, one panel per data set and latent size.

    As in the paper, it shows the bound of the test set and the running mean of the minibatches.
    `table`: figure 2's columns. With several seeds, a line shows the mean of those that got
    furthest and a band the range of all. `titles`: data set -> title.
    `at_rest`: columns latent_dim, split, samples, here, of wake-sleep on Frey Face with an encoder
    that does not learn; its test bound is a line of black dashes. The axes are the paper's if our
    curves fit in them. Hollow marks are the paper's own points, where known.
    """
    table = _shown(table[table.split != "train"])
    sizes = table.groupby("dataset").latent_dim.unique()
    panels = [(name, size) for name in titles if name in sizes for size in sorted(sizes[name])]
    figure, part, axes = _panels(len(panels), 2.4, 2.0, columns=3)
    drawn = rest = False
    theirs = paper.figure2().query("run == 0")
    for axis, letter, (name, latent_dim) in zip(axes, string.ascii_lowercase, panels, strict=False):
        curves = table[table.dataset == name]
        panel = {"dataset": name, "latent_dim": latent_dim}
        drawn |= _curves(axis, table, theirs, panel, "lower_bound", _marks(table))
        here = curves[curves.latent_dim == latent_dim]
        if at_rest is not None and name == "frey_face":
            rest |= _at_rest(axis, here, at_rest[at_rest.latent_dim == latent_dim])
        low, high = _moved(_nats(curves), here)
        short = titles[name].partition(" (")[0].removeprefix("embedded ")
        title = f"({letter}) {short}, $N_z$ = {latent_dim}"
        axis.set(title="\n".join([title, *_below(here, low)]), xlabel="", ylim=(low, high))
        axis.yaxis.set_major_locator(MaxNLocator(4))
    part.supxlabel("training samples evaluated", fontsize="medium")
    part.supylabel("lower bound (nats)", fontsize="medium")
    _log_samples(axes)
    # The panels' titles name the data, in short.
    if stand_ins := [titles[name] for name in titles if name in sizes and name not in TITLES]:
        _suptitle(figure, " and ".join(stand_ins))
    _key(figure, table, drawn, _marks(table), [AT_REST] if rest else ())
    return figure


def _at_rest(axis: Axes, ours: pd.DataFrame, rows: pd.DataFrame) -> bool:
    """Draw the line of an untrained encoder, as far as ours go; returns whether there is one."""
    rows = rows[(rows.samples <= ours.samples.max()) & (rows.split == "test")]
    if "wake_sleep" not in set(ours.algorithm) or rows.empty:
        return False
    axis.plot(rows.samples, rows.here, **AT_REST)
    return True


def _panels(
    n: int, width: float, height: float, columns: int | None = None, legend: float = 1.2
) -> tuple[Figure, SubFigure, Any]:
    """`n` panels in so many columns, or side by side; sizes in inches.

    They are in a subfigure: its x label is above the legend.
    """
    with style.context():
        columns = min(n, columns or n)
        rows = -(-n // columns)
        size = max(6.4, width * columns), height * rows + legend  # as wide as the legend needs
        figure = plt.figure(figsize=size)
        part = figure.subfigures(1, 1)
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[n:]:  # the last row may have fewer
            axis.remove()
        return figure, part, axes[:n]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """With runs of 10^6 samples or more, only the rows from 10^5 on, as on the paper's axis.

    With runs of 10^5 or more, only those from 10^4 on: before, the curves lie below the axes.
    """
    longest = table.samples.max()
    first = next((n for n in (FIRST_SHOWN, FIRST_SHOWN // 10) if longest >= 10 * n), 0)
    return table[table.samples >= first]


def _log_samples(axes: Sequence[Axes]) -> None:
    """Give all panels the same logarithmic x axis, from the first to the last point of any."""
    samples = np.concatenate([line.get_xdata() for axis in axes for line in axis.lines])
    first, last = samples.min() / 1.15, samples.max() * 1.15
    plt.setp(axes, xscale="log", xlim=(first, last))
    for axis in axes if last < 30 * first else ():  # too few powers of ten to label the axis
        if last < 10 * first:
            axis.xaxis.set_major_locator(MaxNLocator(2))
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.xaxis.set_minor_formatter(NullFormatter())
            continue
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
        axis.xaxis.set_minor_formatter(NullFormatter())


def _nats(curves: pd.DataFrame) -> tuple[float, float]:
    """The y limits of one data set's panels: the paper's, extended if our curves exceed them."""
    last = curves.samples == curves.groupby(["latent_dim", "algorithm"]).samples.transform("max")
    best = curves[last].groupby("latent_dim").lower_bound.max().min()
    most = curves.lower_bound.max()
    low, high = style.NATS.get(curves.dataset.iloc[0], (np.inf, -np.inf))
    high = max(high, most + max(0.05 * (most - curves.lower_bound.min()), 1))
    if low < best:
        return low, high
    lowest = curves[last].lower_bound.min()  # the end of every curve must be visible
    return lowest - max(0.1 * (high - lowest), 1), high


def _moved(limits: tuple[float, float], curves: pd.DataFrame) -> tuple[float, float]:
    """Move the y limits down, keeping their length, if the curves would fill less than half."""
    low, high = limits
    if curves.dataset.iloc[0] not in style.NATS:  # the limits already fit these curves
        return low, high
    top = curves.lower_bound.max() + 0.05 * (high - low)
    return (low, high) if top > (low + high) / 2 else (top - (high - low), top)


def _below(curves: pd.DataFrame, low: float) -> list[str]:
    """A line of text for each algorithm whose curve ends below the visible axis."""
    end = curves[curves.samples == curves.groupby("algorithm").samples.transform("max")]
    return [
        f"{style.ALGORITHMS[name]} ends at {bound:.0f}"
        for name, bound in end.groupby("algorithm").lower_bound.mean().items()
        if bound < low
    ]


def marginal_likelihood(table: pd.DataFrame, title: str) -> Figure:
    """Figure 3: log p(x) against training samples, a column per size of the training set.

    The paper has one panel for each size. Here the training and the test set, whose curves would
    hide each other, have one each. `table`: figure 3's columns. Otherwise as `lower_bound`.
    """
    sizes, splits = sorted(set(table.n_train)), sorted(set(table.split), reverse=True)
    figure, part, axes = _panels(len(sizes) * len(splits), 3.6, 2.2, columns=len(sizes))
    unit, unit_name = (1e6, " (millions)") if table.samples.max() >= 1e5 else (1, "")
    ours, theirs = (
        curves.assign(samples=curves.samples / unit) for curves in (table, paper.figure3())
    )
    drawn, bounds = False, False
    panels = itertools.product(splits, sizes)
    for axis, letter, (split, n_train) in zip(axes, string.ascii_lowercase, panels, strict=False):
        panel = {"dataset": table.dataset.iloc[0], "n_train": n_train}
        # All panels have one look: their titles name the split.
        here, points = (_as_test(curves[curves.split == split]) for curves in (ours, theirs))
        drawn |= _curves(axis, here, points, panel, "marginal_log_likelihood", _marks(table))
        bounds |= n_train >= MANY and _bound(axis, here[here.n_train == n_train])
        late = np.concatenate(
            [y[x >= LATE * ours.samples.max()] for x, y in (line.get_data() for line in axis.lines)]
        )
        height = max(np.ptp(late), 1)
        # As in the paper, the steep beginning is cut off below.
        axis.set(
            ylim=(late.min() - 0.3 * height, late.max() + 0.15 * height),
            title=rf"({letter}) $N_{{\mathrm{{train}}}}$ = {n_train:,}, {style.SPLITS[split]}",
            xlabel="",
        )
    part.supxlabel(f"training samples evaluated{unit_name}", fontsize="medium")
    part.supylabel("marginal log-likelihood (nats)", fontsize="medium")
    _suptitle(figure, title)
    _key(figure, _as_test(table), drawn, _marks(table), [BOUND] if bounds else (), titled=True)
    return figure


def _as_test(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of one split, to be drawn as solid lines."""
    return curves.assign(split="test")


def _bound(axis: Axes, curves: pd.DataFrame) -> bool:
    """Draw a dashed line for AEVB's lower bound, if recorded; returns whether it was.

    With `MANY` training points the paper's curves resemble the bound (docs/differences.md).
    """
    if "lower_bound" not in curves:
        return False
    curves = curves[curves.algorithm == "aevb"].dropna(subset="lower_bound")
    mean = curves.groupby("samples").lower_bound.mean()
    axis.plot(mean.index, mean, color=style.colours()["aevb"], **BOUND)
    return not curves.empty


BOUND: dict[str, Any] = {"lw": 0.8, "ls": (0, (4, 2)), "label": "AEVB's lower bound"}


def differences(table: pd.DataFrame) -> Figure:
    """Our values minus the paper's at the paper's points, one panel per panel of figures 2 and 3.

    `table`: rows of `paper.differences` for figure 2, figure 3, or both. Each curve has a line and
    a band of the seeds' standard deviation, in nats; for faces in per cent of the paper's bound.
    """
    on_faces = table.dataset == "frey_face"
    unit = (table.paper.abs() / 100).where(on_faces, 1.0)
    spread = table.get("spread", np.nan)  # absent with a single seed
    table = table.assign(difference=table.difference / unit, spread=spread / unit)
    by = ["n_train", "dataset", "latent_dim"]
    panels = [  # in the order of figures 2 and 3
        (which, rows)
        for _, of_figure in table.groupby(table.n_train.notna())
        for name in TITLES
        for which, rows in of_figure[of_figure.dataset == name].groupby(by, dropna=False)
    ]
    legend = 1.2 if panels else 0.0
    figure, part, axes = _panels(max(1, len(panels)), 2.4, 1.9, columns=3, legend=legend)
    if not panels:
        axes[0].axis("off")
        axes[0].text(0.5, 0.5, "The paper has no points of these data.", ha="center")
        return figure
    counts = table.groupby([*by, "algorithm", "split"], dropna=False).samples.nunique()
    marks = style.MARKS if counts.max() < 3 else {}
    for axis, letter, ((n_train, name, latent_dim), rows) in zip(
        axes, string.ascii_lowercase, panels, strict=False
    ):
        for (algorithm, split), points in rows.groupby(["algorithm", "split"]):
            look = _line(algorithm, split, marks) | {"color": style.colours()[algorithm], "lw": 0.9}
            look |= {} if marks else {"marker": ".", "ms": 2.5}  # the paper's points
            axis.plot(points.samples, points.difference, **look)
            low, high = (points.difference + sign * points.spread for sign in (-1, 1))
            axis.fill_between(points.samples, low, high, color=look["color"], alpha=0.15, lw=0)
        axis.set_yscale("symlog", linthresh=LINEAR, linscale=1.2)
        like = table[(table.dataset == name) & (table.n_train.isna() == np.isnan(n_train))]
        most = max(2 * LINEAR, 1.1 * (like.difference.abs() + like.spread.fillna(0)).max())
        each = (LINEAR, 20, 100) if most > 40 else (2, LINEAR, 20) if most > 20 else (2, 10)
        ticks = [tick for tick in each if tick < most]
        in_percent = "%" if name == "frey_face" else ""
        axis.set(
            ylim=(-most, most),
            yticks=[-tick for tick in ticks] + [0, *ticks],
            yticklabels=[f"-{tick}{in_percent}" for tick in ticks]
            + ["0", *(f"+{tick}{in_percent}" for tick in ticks)],
            title=f"({letter}) {TITLES[name]}, $N_z$ = {latent_dim:.0f}"
            if np.isnan(n_train)
            else f"({letter}) figure 3, {n_train:,.0f} points",
        )
        axis.minorticks_off()
    _log_samples(axes)
    for axis in axes:
        axis.plot(axis.get_xlim(), [0, 0], color="black", lw=0.6)
    part.supxlabel("training samples evaluated", fontsize="medium")
    unit = "nats, on Frey Face %" if on_faces.any() else "nats"
    part.supylabel(f"difference ({unit})", fontsize="medium")
    _suptitle(figure, f"Ours minus the paper's (axes linear up to {LINEAR}, logarithmic beyond)")
    band = "standard deviation of the seeds" if table.spread.notna().any() else ""
    _key(figure, table.assign(seed=0, samples=1), False, marks, band=band)
    return figure


def full_vb(table: pd.DataFrame, title: str) -> Figure:
    """Full VB and the MAP estimate: the lower bound against training samples.

    `table`: figure 2's columns, for one data set and latent size. Seeds are shown as in figure 2.
    """
    table = _shown(table[table.split != "running"])
    figure, axis = style.subplots(1, 1, figsize=(4.8, 3.8))
    _curves(axis, table, table.iloc[:0], {}, "lower_bound", _marks(table))
    axis.set(xlabel="training samples evaluated", ylabel="lower bound (nats)")
    _log_samples([axis])
    _suptitle(figure, title)
    _key(figure, table, False, _marks(table))
    return figure


def _marks(table: pd.DataFrame) -> dict[str, str]:
    """Markers for the points if a curve has fewer than three and might not be visible."""
    points = table.groupby(["dataset", "latent_dim", "algorithm"]).samples.nunique()
    return style.MARKS if points.min() < 3 else {}


def _curves(
    axis: Axes,
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    panel: dict,
    value: str,
    marks: dict[str, str],
) -> bool:
    """Draw the rows that match `panel` into one panel, with the paper's points on top.

    The line is the mean of the seeds that got furthest; the band is the range of all seeds, up to
    where the shortest ends. A bar marks the end of a curve that is shorter than the longest run of
    the figure. `marks`: split -> marker of our points, if any. Returns whether the paper has points
    for these algorithms.
    """
    colours = style.colours()
    whole = ours.samples.max()
    theirs = theirs[theirs.samples <= 1.02 * whole]  # the axis ends with our curves
    ours, theirs = (t[(t[list(panel)] == pd.Series(panel)).all(axis=1)] for t in (ours, theirs))
    if not ours.empty:
        end = ours.groupby(["algorithm", "seed"]).samples.transform("max")
        ends = end.groupby(ours.algorithm)
        longest = ours[end == ends.transform("max")]
        for (algorithm, split), rows in longest.groupby(["algorithm", "split"]):
            mean = _by_seed(rows, value).mean(axis=1)
            look = _line(algorithm, split, marks)
            axis.plot(mean.index, mean, color=colours[algorithm], **look)
        stands = ours[(ours.samples == ends.transform("max")) & (end < ABOUT_ALL * whole)]
        for _, last in stands.iterrows():
            axis.plot(last.samples, last[value], color=colours[last.algorithm], **UNDER_WAY)
        all_seeds = ours[ours.samples <= ends.transform("min")]
        for (algorithm, _), rows in all_seeds.groupby(["algorithm", "split"]):
            if rows.seed.nunique() > 1:
                seeds = _by_seed(rows, value)
                low, high = seeds.min(axis=1), seeds.max(axis=1)
                axis.fill_between(seeds.index, low, high, color=colours[algorithm], alpha=0.2, lw=0)
    theirs = theirs[theirs.algorithm.isin(set(ours.algorithm)) & theirs.split.isin(set(ours.split))]
    for (algorithm, split), points in theirs.groupby(["algorithm", "split"]):
        points = points[_apart(points.samples, on_log_axis=value == "lower_bound")]
        axis.plot(points.samples, points[value], color=colours[algorithm], **_of_paper(split))
    return not theirs.empty


def _by_seed(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """A column per seed, by samples."""
    return paper.interpolated(rows.pivot_table(value, "samples", "seed"))


def _apart(samples: pd.Series, on_log_axis: bool) -> list[bool]:
    """Which of the paper's points to draw, so that no marker hides the next."""
    places = np.log(samples) if on_log_axis else samples
    least, before, kept = CROWDED * np.ptp(places), -np.inf, []
    for place in places:
        kept.append(place - before >= least)
        before = place if kept[-1] else before
    return kept


def _line(algorithm: str, split: str, marks: dict[str, str]) -> dict[str, Any]:
    """Line properties of our curves."""
    look = {"lw": 1.2, "marker": marks.get(split), "ms": style.MARK_SIZE, "mew": 0}
    dashes = style.DASHES[split]
    return look | ({"dashes": dashes} if dashes else {})


def _of_paper(split: str) -> dict[str, Any]:
    """Line properties of the paper's points."""
    return {"ls": "", "marker": style.MARKS[split], "ms": 3, "mfc": "none", "mew": 0.5}


UNDER_WAY: dict[str, Any] = {"ls": "", "marker": "|", "ms": 5, "mew": 1.2}


AT_REST: dict[str, Any] = {
    "color": "black",
    "lw": 0.8,
    "dashes": (3, 3),
    "label": "wake-sleep, untrained encoder, test set",
}


def _key(
    figure: Figure,
    ours: pd.DataFrame,
    theirs: bool,
    marks: dict[str, str],
    thin: Iterable[dict[str, Any]] = (),
    band: str = "",
    titled: bool = False,
) -> None:
    """Draw the legend below all panels, one column per algorithm if the figure is wide enough.

    `thin`: line properties, with a label, of lines that are no algorithm's curve.
    `band`: what the shaded bands are, if not the range of the seeds in `ours`.
    `titled`: whether the panels' titles name the split, which the legend then need not.
    """
    colours, labels = style.colours(), []
    handles: list[Artist] = []
    of = {split: "" if titled else f", {name}" for split, name in style.SPLITS.items()}
    for name, label in style.ALGORITHMS.items():
        splits = set(ours[ours.algorithm == name].split)
        for split in (split for split in style.DASHES if split in splits):
            handles.append(Line2D([], [], color=colours[name], **_line(name, split, marks)))
            labels.append(f"{label}{of[split]}")
    curve = [c for c in ("dataset", "latent_dim", "n_train", "algorithm") if c in ours]
    ends = ours.groupby([*curve, "seed"]).samples.max().groupby(curve)
    if (ends.max() < ABOUT_ALL * ours.samples.max()).any():
        handles.append(Line2D([], [], color="black", **UNDER_WAY))
        labels.append("end of an unfinished run")
    if (seeds := ours.seed.nunique()) > 1:
        even = (ends.min() >= ABOUT_ALL * ends.max()).all()
        band = f"range of {seeds} seeds" + ("" if even else f", up to {_power(ends.min().min())}")
    if band:
        handles.append(Patch(color="grey", alpha=0.3, lw=0))
        labels.append(band)
    for split in sorted(set(ours.split)) if theirs else ():
        handles.append(Line2D([], [], color="black", **_of_paper(split)))
        labels.append(f"the paper{of[split]}")
    for look in thin:
        handles.append(Line2D([], [], **{"color": colours["aevb"]} | look))
        labels.append(look["label"])
    splits = ours.split.nunique()  # columns of this length keep an algorithm together
    for columns in [-(-len(labels) // n) for n in range(splits, len(labels), splits)] + [1]:
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False
        )
        if legend.get_window_extent().width < figure.bbox.width or columns == 1:
            return
        legend.remove()


def _power(number: float) -> str:
    """A number near a power of ten as such, and others with their digits."""
    power = round(np.log10(number))
    return f"$10^{{{power}}}$" if abs(number / 10**power - 1) < 0.05 else f"{number:,}"


def save(
    figure: Figure,
    settings: Settings,
    executed: Iterable[str],
    runs: Iterable[Run] = (),
    tables: dict[str, pd.DataFrame] | None = None,
) -> Path:
    """Write ``<name>.png``, ``.pdf``, a CSV per table and, last, ``<name>.json``: the provenance.

    `executed`: the cells that ran, ``In`` of the notebook. `tables`: file stem -> table. Returns
    the folder: `figures_dir` of the settings, else ``figures/<preset>/``, or ``figures/custom/`` if
    any parameter differs from the preset's or code ran that is not the notebook's. If a run has no
    stored model, a table that needs one is kept as the figure had it, and the JSON says so.
    """
    name, cells = settings.name, list(executed)
    is_own = provenance.is_own_code(name, cells)
    if not is_own:
        print(f"the code that ran differs from the project's reproduce/{name}.ipynb")
    of_preset = is_own and settings.parameters == type(settings)(preset=settings.preset).parameters
    if settings.figures_dir:
        folder = Path(str(settings.figures_dir)).expanduser()
    else:
        folder = paths.figures(presets.label(settings.preset) if of_preset else "custom")
    files = {}
    for suffix, metadata in (("png", None), ("pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        with style.context():
            figure.savefig(buffer, format=suffix, metadata=metadata)
        files[f"{name}.{suffix}"] = buffer.getvalue()
    for stem, table in (tables or {}).items():
        files[f"{stem}.csv"] = table.to_csv(index=False).encode()
    runs = list(runs)
    kept = {} if all(run.has_model for run in runs) else provenance.kept(folder, name, files)
    files |= {file: (folder / file).read_bytes() for file in kept}
    record = provenance.record(settings, runs, files, None if is_own else cells) | {"kept": kept}
    files[f"{name}.json"] = (json.dumps(record, indent=2) + "\n").encode()
    for file, content in files.items():
        _files.replace(folder / file, content)
    print(f"written: {', '.join(paths.shown(folder / file) for file in files)}")
    return folder


def traversals(
    model: Encoding,
    data: Dataset,
    index: int = 0,
    dims: Sequence[int] | None = None,
    values: Sequence[float] = VALUES,
) -> Figure:
    """One row per latent dimension: E[x|z] of test image `index`, with that entry of z at `values`.

    The other entries are the mean of q(z|x). Raises the errors of `traversal`.
    """
    means = traversal(model, data.x_test[index], dims, values)
    rows, columns = means.shape[:2]
    height, width = data.image_shape
    wide = max(3.4, 0.9 + 0.55 * columns * width / height)
    figure, axis = style.subplots(1, 1, figsize=(wide, 1.4 + 0.55 * rows))
    _show_images(axis, tile(means.reshape(rows * columns, -1), data.image_shape, columns), "")
    numbers = range(rows) if dims is None else dims
    axis.set(
        xticks=width * (np.arange(columns) + 0.5) - 0.5,
        xticklabels=[f"{value:g}" for value in values],
        yticks=height * (np.arange(rows) + 0.5) - 0.5,
        yticklabels=[f"$z_{{{number + 1}}}$" for number in numbers],
        xlabel="the value that it takes",
    )
    axis.tick_params(length=0)
    figure.suptitle(f"{_in_two(data.title)}\none latent dimension at a time")
    for _ in range(3):  # with images of fixed aspect the layout needs several passes
        figure.draw_without_rendering()
    return figure
