"""The points that the paper plotted, and how far our curves are from them.

The points of figures 2 and 3 were read off the vector graphics of the paper's PDF (arXiv
1312.6114) and calibrated on its tick marks. They are accurate to 0.2 nats for MNIST and 2 nats for
Frey Face. Nothing is known of the curves between two points.
"""

import functools
from pathlib import Path

import numpy as np
import pandas as pd

_PANEL = ["dataset", "latent_dim"]
NEAR = 0.005  # largest relative difference in samples between one of our points and the paper's
BETWEEN = 2.0  # largest ratio of two of our points between which a seed is interpolated


@functools.cache
def figure2() -> pd.DataFrame:
    """Figure 2's points: dataset, latent_dim, algorithm, split, run, samples, lower_bound (nats).

    `split`: "test", the bound of the test set, or "running" ("train" in the paper's legend), the
    mean bound of the minibatches since the previous point. `run`: 0 is the curve, 1 an earlier
    start that was broken off.
    """
    table = _read("paper_figure2.csv")
    return table.assign(split=table.split.replace("train", "running"))


@functools.cache
def figure3() -> pd.DataFrame:
    """Figure 3's points: dataset, n_train, algorithm, split, samples, marginal_log_likelihood."""
    return _read("paper_figure3.csv").assign(dataset="mnist")


def _read(name):
    return pd.read_csv(Path(__file__).with_name(name))


@functools.cache
def points(
    measure: str, algorithm: str, dataset: str, latent_dim: int, n_train: int
) -> tuple[int, ...]:
    """The training samples, sorted, at which the paper measured a curve or the one most like it.

    That is the curve with the nearest N_z (figure 2) or N_train (figure 3), compared by ratio.
    Algorithms without a curve there, such as full VB, use AEVB's.
    """
    if measure == "lower_bound":
        theirs, by, size = figure2(), "latent_dim", latent_dim
        theirs = theirs[(theirs.dataset == dataset) & (theirs.run == 0)]
    else:
        theirs, by, size = figure3(), "n_train", n_train
    algorithm = algorithm if algorithm in set(theirs.algorithm) else "aevb"
    theirs = theirs[theirs.algorithm == algorithm]
    nearest = min(theirs[by].unique(), key=lambda one: abs(np.log(one / size)))
    return tuple(sorted({int(samples) for samples in theirs[theirs[by] == nearest].samples}))


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Our values minus the paper's, in nats, at the paper's points.

    A seed that was not measured at a point counts by interpolation over log samples between two of
    its own points, if these are at most a factor `BETWEEN` apart; otherwise it does not count.
    `table`: figure 2's or figure 3's columns. Returned columns: those that identify the curve;
    samples; paper; here, the mean over the seeds; difference; and, with several seeds or with
    interpolated ones, spread (the seeds' standard deviation), seeds (their number) and interpolated
    (how many of them are).
    """
    value, theirs = "marginal_log_likelihood", figure3()
    if value not in table:
        value, theirs = "lower_bound", figure2().query("run == 0").drop(columns="run")
    curve = [c for c in ("dataset", "latent_dim", "n_train", "algorithm", "split") if c in theirs]
    parts = []
    for which, points in theirs.groupby(curve):
        ours = table[(table[curve] == pd.Series(dict(zip(curve, which, strict=True)))).all(axis=1)]
        points = points.sort_values("samples")
        found = [_at(of_seed, points.samples, value) for _, of_seed in ours.groupby("seed")]
        values = np.array([here for here, _ in found]).reshape(len(found), len(points))
        made = np.array([between for _, between in found]).reshape(values.shape)
        seeds = pd.DataFrame(values.T, index=points.index)
        parts.append(
            points[[*curve, "samples"]].assign(
                paper=points[value],
                here=seeds.mean(axis=1),
                difference=seeds.mean(axis=1) - points[value],
                spread=seeds.std(axis=1),
                seeds=seeds.count(axis=1),
                interpolated=made.sum(axis=0),
            )
        )
    found = pd.concat(parts).dropna(subset="here").sort_values([*curve, "samples"])
    if (found.seeds <= 1).all() and not found.interpolated.any():
        found = found.drop(columns=["spread", "seeds", "interpolated"])
    return found.round(2).reset_index(drop=True)


def _at(ours: pd.DataFrame, points: pd.Series, value: str) -> tuple[np.ndarray, np.ndarray]:
    """One seed's values at the points, NaN where there are none; and which are interpolated."""
    ours = ours.dropna(subset=value).sort_values("samples")
    samples, values = ours.samples.to_numpy(float), ours[value].to_numpy(float)
    at = points.to_numpy(float)
    if not len(ours):
        return np.full(len(at), np.nan), np.zeros(len(at), bool)
    nearest = np.abs(samples[:, None] / at - 1).argmin(axis=0)
    measured = np.abs(samples[nearest] / at - 1) <= NEAR
    after = np.searchsorted(samples, at).clip(1, max(len(samples) - 1, 1))
    close = samples[np.minimum(after, len(samples) - 1)] <= BETWEEN * samples[after - 1]
    inside = (samples[0] <= at) & (at <= samples[-1]) & close & ~measured
    between = interpolated(pd.DataFrame({0: values}, samples).reindex(np.union1d(samples, at)))
    here = np.where(measured, values[nearest], np.where(inside, between.loc[at, 0], np.nan))
    return here, inside


def interpolated(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves, one per column, over one index of samples: interpolated between their own points.

    Curves, and seeds, were measured at different points. Interpolation is over log samples.
    """
    filled = curves.set_axis(np.log(curves.index)).interpolate("index", limit_area="inside")
    return filled.set_axis(curves.index)


def _reaches(curve: pd.Series, goal: float) -> float:
    """The samples at which a curve first reaches `goal`, linearly in log samples; NaN: never."""
    (at,) = np.nonzero(curve.to_numpy() >= goal)
    if not at.size:
        return np.nan
    last = slice(max(at[0] - 1, 0), at[0] + 1)
    return float(np.exp(np.interp(goal, curve.iloc[last], np.log(curve.index[last]))))


def claims(table: pd.DataFrame) -> pd.DataFrame:
    """The quantities behind the paper's conclusions from figure 2, one row per panel, in nats.

    `table`: figure 2's columns. `leads_from`: training samples from which AEVB's test bound stays
    above wake-sleep's. `least_lead`: its smallest lead from 7 x 10^5 samples on, negative if it
    falls behind. `speed`: the samples that wake-sleep needs for its final test bound, less 1 nat or
    on Frey Face 10, over those that AEVB needs for the same; 0 if it does not get there. `test`:
    AEVB's final test bound. `overfit`: the training bound minus `test`.
    """
    curves = table.pivot_table("lower_bound", [*_PANEL, "samples"], ["algorithm", "split", "seed"])
    rows = []
    for panel, each in curves.groupby(_PANEL):
        each = each.droplevel(_PANEL).dropna(axis=1, how="all")
        measured = each.aevb.test.dropna(how="all").index
        curve = interpolated(each).T.groupby(level=["algorithm", "split"]).mean().T
        lead = (curve.aevb.test - curve.wake_sleep.test).dropna()
        lead = lead[lead.index.isin(measured)]
        behind = lead.index[lead <= 0]
        ahead = lead.index if behind.empty else lead.index[lead.index > behind[-1]]
        end = curve.aevb.dropna().iloc[-1]
        least = lead[lead.index >= 7 * 10**5].min()
        goal = curve.wake_sleep.test.dropna().iloc[-1] - (10 if panel[0] == "frey_face" else 1)
        needs = {}
        for name in ("aevb", "wake_sleep"):
            at = curve[name].test[each[name].test.notna().any(axis=1)]  # at its own points
            needs[name] = _reaches(at, goal)
        speed = np.nan_to_num(needs["wake_sleep"] / needs["aevb"])
        rows.append((*panel, ahead.min(), least, speed, end.test, end.train - end.test))
    columns = [*_PANEL, "leads_from", "least_lead", "speed", "test", "overfit"]
    return pd.DataFrame(rows, columns=columns).round(1)
