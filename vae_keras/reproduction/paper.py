"""What the paper itself got, as data, and how far a run here is from it."""

from pathlib import Path

import numpy as np
import pandas as pd

AT = {  # samples at which ours are compared with theirs
    "lower_bound": (10**5, 10**6, 10**7, 10**8),
    "marginal_log_likelihood": tuple(m * 10**6 for m in (1, 5, 10, 20, 40, 60)),
}

_PANEL = ["dataset", "latent_dim"]


def figure2() -> pd.DataFrame:
    """The curves of figure 2: dataset, latent_dim, algorithm, split, samples, lower_bound (nats).

    Read off the vector graphics of the paper's PDF (arXiv 1312.6114), calibrated on its tick marks:
    good to 0.2 nats for MNIST and 2 nats for Frey Face. Not every panel is there, and a curve
    begins where it enters its panel's axis.
    """
    return _read("paper_figure2.csv")


def figure3() -> pd.DataFrame:
    """The curves of figure 3, with the columns of the file.

    The file has no rows yet: nobody has read the figure off. Rows that are added to it are drawn
    behind ours, and compared with them.
    """
    return _read("paper_figure3.csv")


def _read(name):
    return pd.read_csv(Path(__file__).with_name(name))


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Ours minus the paper's value in nats, at the samples of AT where both curves exist.

    `table`: figure 2's or figure 3's columns, several seeds averaged. Both are interpolated in log
    samples. Columns: what names the curve, then samples, here, paper, difference.
    """
    value, theirs = "lower_bound", figure2()
    if value not in table:
        value, theirs = "marginal_log_likelihood", figure3()
    name = [column for column in theirs if column not in ("samples", value)]
    ours = table.groupby([*name, "samples"], as_index=False)[value].mean()
    theirs, rows = dict(list(theirs.groupby(name))), []
    for curve, here in ours.groupby(name, sort=False):
        for samples in AT[value]:
            ours, paper = (_at(samples, c, value) for c in (here, theirs.get(curve)))
            if ours is not None and paper is not None:
                rows.append((*curve, samples, *np.round([ours, paper, ours - paper], 1)))
    return pd.DataFrame(rows, columns=[*name, "samples", "here", "paper", "difference"])


def claims(table: pd.DataFrame) -> pd.DataFrame:
    """What the paper concludes from figure 2, a row a panel, in nats; `table`: figure 2's columns.

    `leads_from`: training samples from which on AEVB lies above wake-sleep on both splits.
    `least_lead`: the least by which it does from 10^6 on, negative where it does not. `test` and
    `overfit`: AEVB's test bound at the end, and by how much train lies above it.
    """
    curves = table.pivot_table("lower_bound", [*_PANEL, "samples"], ["algorithm", "split"])
    rows = []
    for panel, curve in curves.groupby(_PANEL):
        curve = curve.droplevel(_PANEL)
        lead, end = (curve.aevb - curve.wake_sleep).min(axis=1), curve.aevb.iloc[-1]
        behind = lead.index[lead <= 0]
        ahead = lead.index if behind.empty else lead.index[lead.index > behind[-1]]
        rows.append(
            (*panel, ahead.min(), lead[lead.index >= 10**6].min(), end.test, end.train - end.test)
        )
    columns = [*_PANEL, "leads_from", "least_lead", "test", "overfit"]
    return pd.DataFrame(rows, columns=columns).round(1)


def _at(samples: int, curve: pd.DataFrame | None, value: str) -> float | None:
    if curve is None:
        return None
    curve = curve.sort_values("samples")
    # A run ends with a whole minibatch, and a reading lies beside its tick: half a percent.
    if not 0.995 * curve.samples.iloc[0] <= samples <= 1.005 * curve.samples.iloc[-1]:
        return None
    return float(np.interp(np.log(samples), np.log(curve.samples), curve[value]))
