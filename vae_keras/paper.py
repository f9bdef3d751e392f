"""What the paper itself got, as data, and how far a run here is from it."""

from pathlib import Path

import numpy as np
import pandas as pd

AT = (10**5, 10**6, 10**7, 10**8)
_CURVE = ["dataset", "latent_dim", "algorithm", "split"]


def figure2() -> pd.DataFrame:
    """The curves of figure 2: dataset, latent_dim, algorithm, split, samples, lower_bound (nats).

    Read off the vector graphics of the paper's PDF (arXiv 1312.6114), calibrated on its tick marks:
    good to 0.2 nats for MNIST and 2 nats for Frey Face. Not every panel is there, and a curve
    begins where it enters its panel's axis.
    """
    return pd.read_csv(Path(__file__).with_name("paper_figure2.csv"))


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Ours minus the paper's bound in nats, at 10^5, 10^6, 10^7, 10^8 where both curves exist.

    `table`: figure 2's columns, several seeds averaged. Both are interpolated in log samples.
    Columns: dataset, latent_dim, algorithm, split, samples, here, paper, difference.
    """
    ours = table.groupby([*_CURVE, "samples"], as_index=False).lower_bound.mean()
    theirs, rows = dict(list(figure2().groupby(_CURVE))), []
    for curve, here in ours.groupby(_CURVE, sort=False):
        for samples in AT:
            values = [_at(samples, c) for c in (here, theirs.get(curve))]
            if None not in values:
                rows.append((*curve, samples, *np.round([*values, values[0] - values[1]], 1)))
    columns = [*_CURVE, "samples", "here", "paper", "difference"]
    return pd.DataFrame(rows, columns=columns)


def _at(samples: int, curve: pd.DataFrame | None) -> float | None:
    if curve is None:
        return None
    curve = curve.sort_values("samples")
    # A run ends with a whole minibatch, and a reading lies beside its tick: half a percent.
    if not 0.995 * curve.samples.iloc[0] <= samples <= 1.005 * curve.samples.iloc[-1]:
        return None
    return float(np.interp(np.log(samples), np.log(curve.samples), curve.lower_bound))
