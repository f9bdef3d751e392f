"""The claims of section 5 of the paper, and whether they hold in our curves.

``python -m vae_keras claims`` prints them for the tables in ``figures/paper/``.
"""

import numpy as np
import pandas as pd

from vae_keras.datasets import TITLES
from vae_keras.reproduction import paper, style

HOLDS, BUT, NOT = "holds", "holds in part", "does not hold"
# How close to the paper's a point agrees with it: nats, or a share of the bound of faces.
NEAR, NEAR_ON_FACES, FACES = 3.0, 0.05, "frey_face"
FROM = 2 * 10**6  # training samples: earlier, seeds differ by more than NEAR
BOUNDS, LIKELIHOODS = "2", "3"  # figures
_COMPARED = ("aevb", "wake_sleep", "mcem")
TABLES = {BOUNDS: "fig_lower_bound.csv", LIKELIHOODS: "fig_marginal_likelihood.csv"}


def card(second: pd.DataFrame, third: pd.DataFrame) -> pd.DataFrame:
    """One row per claim of the paper, judged by our curves: the tables of figures 2 and 3.

    Columns: claim; verdict, one of "holds", "holds in part" and "does not hold"; measured; figure,
    of whose table. The values are nats per datapoint. Raises ValueError for embedded data: the
    claims are about real data.
    """
    for table in (second, third):
        if unknown := set(table.dataset) - set(TITLES):
            raise ValueError(
                "claims can be judged on MNIST and Frey Face only, not on "
                + ", ".join(sorted(unknown))
            )
    panels = paper.claims(second)
    rows = [
        (*_better(second), BOUNDS), (*_faster(panels), BOUNDS), (*_superfluous(panels), BOUNDS),
        (*_fastest(third), LIKELIHOODS), (*_not_on_line(third), LIKELIHOODS),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["claim", "verdict", "measured", "figure"])


def agreement(second: pd.DataFrame, third: pd.DataFrame) -> pd.DataFrame:
    """How many of the paper's points `FROM` ours agree with: by figure, and by algorithm."""
    parts = {
        f"figure 2, {TITLES[name]}": part for name, part in second.groupby("dataset", sort=False)
    } | {f"figure 3, N_train = {n:,}": part for n, part in third.groupby("n_train")}
    columns = ["the paper's points in", "ours within", *map(style.ALGORITHMS.get, _COMPARED)]
    return pd.DataFrame([_near(*part) for part in parts.items()], columns=columns)


def markdown(rows: pd.DataFrame) -> str:
    """A table of text, such as `card`, in Markdown."""
    lines = [rows.columns, ["---"] * len(rows.columns), *rows.itertuples(index=False)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _millions(samples):
    return f"{samples / 1e6:,.2g} million samples"


def _better(table):
    test, curve = table[table.split == "test"], ["dataset", "latent_dim", "algorithm"]
    last = test[test.samples == test.groupby(curve).samples.transform("max")]
    last = last.groupby(curve).lower_bound.mean().unstack()
    lead = last.aevb - last.wake_sleep
    verdict = HOLDS if (lead > 0).all() else BUT if (lead > 0).mean() >= 0.5 else NOT
    name, latent_dim = lead.idxmin()
    least = test[(test.dataset == name) & (test.latent_dim == latent_dim)]
    chance = " (less than seeds differ)" if abs(lead.min()) < _spread(least) else ""
    measured = (
        f"test bound higher in {(lead > 0).sum()} of {len(lead)} panels, by {lead.min():.1f}"
        f"{chance} to {lead.max():.0f} nats"
    )
    return "AEVB reaches a better solution than wake-sleep", verdict, measured


def _spread(panel):
    """The largest standard deviation of the seeds of an algorithm where their curves end."""
    curves = paper.interpolated(
        panel.pivot_table("lower_bound", "samples", ["algorithm", "seed"])
    ).T
    spread = curves.groupby("algorithm").std().T.dropna(how="all")
    return np.nan if spread.empty else spread.ffill().iloc[-1].max()


def _faster(panels):
    ahead = panels.speed > 1
    verdict = HOLDS if ahead.all() else BUT if ahead.mean() >= 0.5 else NOT
    speeds = panels.speed[ahead]
    measured = []
    if len(speeds):
        measured.append(
            f"for the same test bound wake-sleep needs {speeds.min():.1f} to {speeds.max():.0f} "
            f"times as many samples in {ahead.sum()} of {len(ahead)} panels"
        )
    measured += [
        f"on {TITLES[panel.dataset]}, N_z = {panel.latent_dim}, {panel.speed:.1f} times"
        for panel in panels[~ahead].itertuples()
    ]
    return "AEVB converges faster than wake-sleep", verdict, "; ".join(measured)


def _by(change):
    return f"{'rises' if change >= 0 else 'falls'} by {abs(change):.1f}"


def _superfluous(panels):
    changes, lost = [], []
    for name in (name for name in TITLES if name in set(panels.dataset)):
        rows = [*panels[panels.dataset == name].sort_values("latent_dim").itertuples()]
        before, end = rows[-2:]
        shown = {row.latent_dim: f"{row.overfit:.1f}" for row in (rows[0], before, end)}
        most = 0.01 * abs(before.test)
        changes.append(
            f"{TITLES[name]}, N_z = {before.latent_dim} to {end.latent_dim}: test bound "
            f"{_by(end.test - before.test)}, overfitting {', '.join(shown.values())} nats for "
            f"N_z = {', '.join(map(str, shown))}"
        )
        lost.append(max(before.test - end.test, end.overfit - before.overfit) > most)
    verdict = HOLDS if not any(lost) else BUT if not all(lost) else NOT
    return (
        "superfluous latent variables do not lead to overfitting", verdict,
        "; ".join(changes),
    )  # fmt: skip


def _at(table, samples):
    """(n_train, algorithm, split) -> log p(x) at `samples` in nats, averaged over the seeds."""
    curves = table.pivot_table(
        "marginal_log_likelihood", "samples", ["n_train", "algorithm", "split", "seed"]
    )
    curves = paper.interpolated(curves.reindex(curves.index.union([samples])))
    means = curves.T.groupby(level=["n_train", "algorithm", "split"]).mean().T
    return means.ffill().bfill().loc[samples]  # or where a curve ends or begins


def _fastest(table):
    at, leads = _at(table, FROM), []
    for n in sorted(set(table.n_train)):
        others = max(at[n, other, "train"] for other in ("wake_sleep", "mcem"))
        leads.append((n, at[n, "aevb", "train"] - others))
    ahead = [lead > 0 for _, lead in leads]
    measured = ", ".join(f"{lead:+.1f} (N_train = {n:,})" for n, lead in leads)
    return (
        "AEVB's likelihood rises the fastest", HOLDS if all(ahead) else BUT if any(ahead) else NOT,
        f"training set, {_millions(FROM)}, above the best other: {measured}",
    )  # fmt: skip


def _not_on_line(table):
    small, large = sorted(set(table.n_train))
    end = table[(table.algorithm == "mcem") & (table.n_train == large)].samples.max()
    at = _at(table, end)
    behind = {n: at[n, "aevb", "test"] - at[n, "mcem", "test"] for n in (small, large)}
    verdict = HOLDS if behind[large] > 5 and behind[small] < NEAR else BUT
    measured = ", ".join(f"{nats:+.1f} (N_train = {n:,})" for n, nats in behind.items())
    return (
        "Monte Carlo EM cannot be applied efficiently to the large set", verdict,
        f"AEVB minus Monte Carlo EM, test set, {_millions(end)}: {measured}",
    )  # fmt: skip


def _near(where, table):
    found = paper.differences(table)
    found = found[found.samples >= FROM]
    near, within = NEAR, f"{NEAR:.0f} nats"
    if set(found.dataset) == {FACES}:
        near, within = NEAR_ON_FACES * found.paper.abs(), f"{NEAR_ON_FACES:.0%}"
    agrees = (found.difference.abs() <= near).groupby(found.algorithm)
    counts = [
        f"{agrees.sum()[name]} of {agrees.size()[name]} ({agrees.mean()[name]:.0%})"
        if name in agrees.groups
        else ""
        for name in _COMPARED
    ]
    return where, within, *counts
