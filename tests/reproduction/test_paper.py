"""The paper's curves, the differences from them, and figure 2 as it is committed."""

import numpy as np
import pandas as pd
import pytest

from vae_keras.reproduction import paper

COLUMNS = ["dataset", "latent_dim", "algorithm", "split", "samples", "lower_bound", "seed"]


def test_the_papers_curves():
    curves = paper.figure2()
    assert set(curves.dataset) == {"mnist", "frey_face"}
    assert set(curves.algorithm) == {"aevb", "wake_sleep"}
    assert not curves.duplicated(["dataset", "latent_dim", "algorithm", "split", "samples"]).any()
    end = curves.query("dataset == 'mnist' and latent_dim == 20 and samples == 10**7")
    values = end[end.algorithm == "aevb"].set_index("split").lower_bound
    assert values.to_dict() == {"train": -104.2, "test": -104.8}


def test_the_papers_curves_are_no_distance_from_themselves():
    theirs = paper.figure2().assign(seed=0)
    table = paper.differences(theirs)
    assert (table.difference == 0).all()
    assert set(table.samples) == {10**5, 10**6, 10**7, 10**8}
    shifted = pd.concat([theirs.assign(lower_bound=theirs.lower_bound + d) for d in (1, 2)])
    np.testing.assert_allclose(paper.differences(shifted).difference, 1.5)  # the mean of two seeds


def test_differences_only_where_both_curves_exist():
    ours = pd.DataFrame(
        [
            ("mnist", 20, "aevb", "test", samples, bound, 0)
            for samples, bound in ((10**5, -180.0), (999_000, -124.0), (1_010_000, -123.0))
        ]
        + [("mnist", 7, "aevb", "test", 10**6, -100.0, 0)],
        columns=COLUMNS,
    )
    table = paper.differences(ours)
    assert list(table.samples) == [10**6]  # at 10^5 the paper's curve is not in its panel yet
    weight = np.log(1e6 / 999_000) / np.log(1_010_000 / 999_000)
    assert table.here[0] == pytest.approx(-124 + weight, abs=0.06)
    assert table.difference[0] == pytest.approx(table.here[0] + 124.2, abs=0.06)


def test_the_papers_claims_hold_in_the_committed_figure(committed):
    """AEVB is above wake-sleep in every panel from 10^6 on; more latent variables do no harm.

    In one panel it is above only from 2 x 10^6 on: wake-sleep is better here than in the paper.
    """
    claims = paper.claims(committed("fig_lower_bound"))
    assert len(claims) == 9
    late = claims.set_index(["dataset", "latent_dim"]).leads_from
    assert late.pop(("mnist", 10)) <= 2 * 10**6
    assert (late <= 1.001 * 10**6).all()
    for _, panels in claims.sort_values("latent_dim").groupby("dataset"):
        best = panels.test.max()
        assert panels.test.iloc[-1] > best - 0.02 * abs(best)  # the largest is hardly worse


def test_the_claims_are_what_they_say():
    bounds = {"aevb": [-110, -120, -130, -131], "wake_sleep": [-115, -118, -140, -130.5]}
    rows = [
        ("mnist", 3, algorithm, split, samples, bound, 0)
        for algorithm, values in bounds.items()
        for (samples, split), bound in zip(
            [(10**5, "train"), (10**5, "test"), (10**6, "train"), (10**6, "test")],
            values,
            strict=True,
        )
    ]
    (row,) = paper.claims(pd.DataFrame(rows, columns=COLUMNS)).itertuples()
    assert row.least_lead == -0.5  # at 10^5 nothing is claimed
    assert np.isnan(row.leads_from)
    assert row.test == -131
    assert row.overfit == 1
    better = [
        {**row, "lower_bound": -131.5} if i == 7 else row
        for i, row in enumerate(pd.DataFrame(rows, columns=COLUMNS).to_dict("records"))
    ]
    (row,) = paper.claims(pd.DataFrame(better)).itertuples()
    assert (row.leads_from, row.least_lead) == (10**6, 0.5)


def test_what_the_paper_concludes_from_figure_3_holds_in_the_committed_figure(committed):
    curves = committed("fig_marginal_likelihood")
    end = curves[
        curves.samples == curves.groupby(["n_train", "algorithm"]).samples.transform("max")
    ]
    nats = end.pivot_table("marginal_log_likelihood", ["n_train", "algorithm"], "split")
    small, large = nats.loc[1000], nats.loc[50_000]
    assert (small.train - small.test > 15).all()  # all three overfit
    assert (large.loc["aevb"] > large.loc["wake_sleep"] + 10).all()
    assert (large.loc["wake_sleep"] > large.loc["mcem"] + 10).all()  # far behind
    late = curves[(curves.n_train == 1000) & (curves.samples > 8.5e6)]
    change = late.groupby(["algorithm", "split"]).marginal_log_likelihood.agg(np.ptp)
    assert (change < 1).all()  # all three have converged


@pytest.mark.parametrize("ends_first", ["ours", "theirs"])
def test_a_curve_is_compared_half_a_percent_beyond_its_ends_and_no_further(ends_first, monkeypatch):
    """A run ends with a whole minibatch; but nothing is made up where a curve is not yet, or over.

    Between its points a curve is straight over log samples: 2,000 lies half-way.
    """
    about = {"dataset": "mnist", "latent_dim": 3, "algorithm": "aevb", "split": "test"}
    short = pd.DataFrame([about | {"samples": n, "lower_bound": b} for n, b in SHORT])
    long = pd.DataFrame([about | {"samples": n, "lower_bound": -100.0} for n in (1, 10**6)])
    ours, theirs = (short, long) if ends_first == "ours" else (long, short)
    monkeypatch.setattr(paper, "figure2", lambda: theirs)
    monkeypatch.setitem(paper.AT, "lower_bound", (994, 996, 2000, 4019, 4021))
    table = paper.differences(ours)
    assert list(table.samples) == [996, 2000, 4019]
    sign = 1 if ends_first == "ours" else -1
    np.testing.assert_allclose(sign * table.difference, [-100, -50, 0], atol=0.01)


SHORT = ((1000, -200.0), (4000, -100.0))


def test_a_tie_is_no_lead():
    rows = [
        ("mnist", 3, algorithm, split, samples, bound, 0)
        for samples, lead in ((10**6, 0), (2 * 10**6, 1), (3 * 10**6, 2))
        for algorithm, bound in (("aevb", -100 + lead), ("wake_sleep", -100))
        for split in ("train", "test")
    ]
    (row,) = paper.claims(pd.DataFrame(rows, columns=COLUMNS)).itertuples()
    assert (row.leads_from, row.least_lead) == (2 * 10**6, 0)
    assert (row.test, row.overfit) == (-98, 0)
