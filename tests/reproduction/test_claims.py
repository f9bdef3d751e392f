"""The card of claims: each verdict follows from the curves, and turns with them."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from vae_keras.reproduction import claims, paper

SAMPLES = (10**5, 10**6, 2 * 10**6, 10**7, 10**8)
PANELS = [("mnist", 20), ("mnist", 200), ("frey_face", 10), ("frey_face", 20)]


def second(lead=5.0, gain=1.0):
    """Figure 2: AEVB `lead` nats above wake-sleep, and `gain` for each larger N_z."""
    rows = [
        (name, size, algorithm, split, n, 4 * np.log10(n) + lead * (algorithm == "aevb")
         + gain * PANELS.index((name, size)), 0)
        for name, size in PANELS
        for algorithm in ("aevb", "wake_sleep")
        for split in ("train", "running", "test")
        for n in SAMPLES
    ]  # fmt: skip
    columns = ["dataset", "latent_dim", "algorithm", "split", "samples", "lower_bound", "seed"]
    return pd.DataFrame(rows, columns=columns)


def third(off=0.0):
    """Figure 3: the paper's own points, `off` nats above them."""
    table = paper.figure3().assign(latent_dim=3, seed=0)
    return table.assign(marginal_log_likelihood=table.marginal_log_likelihood + off)


def fallen(table, change, **panel):
    """`table` with the bounds of AEVB in one panel, or of one split there, changed."""
    where = (table[list(panel)] == pd.Series(panel)).all(axis=1) & (table.algorithm == "aevb")
    return table.assign(lower_bound=table.lower_bound + change * where)


def verdicts(*tables):
    return list(claims.card(*tables).verdict)


def agreeing(likelihoods):
    """Figure 3: how many cells of the table have which share."""
    table = claims.agreement(paper.figure2().assign(seed=0), likelihoods)
    of_it = table[table["the paper's points in"].str.startswith("figure 3")]
    return dict(Counter(re.findall(r"\((\d+%)\)", of_it.to_string())))


def test_the_papers_own_curves_have_the_verdicts_of_the_paper():
    card = claims.card(second(), third())
    assert list(card.columns) == ["claim", "verdict", "measured", "figure"]
    assert set(card.verdict[:3]) == {claims.HOLDS}
    assert card.verdict[4] == claims.HOLDS
    assert agreeing(third()) == {"100%": 6}


@pytest.mark.parametrize(("lead", "gain", "row"), [(-5.0, 1.0, 0), (-5.0, 1.0, 1), (5.0, -2.0, 2)])
def test_a_claim_that_the_curves_contradict_does_not_hold(lead, gain, row):
    assert verdicts(second(lead, gain), third())[row] == claims.NOT


@pytest.mark.parametrize(
    ("row", "change", "panel"),
    [
        (1, -8.0, {"dataset": "mnist", "latent_dim": 20}),
        (2, 10.0, {"dataset": "mnist", "latent_dim": 200, "split": "train"}),  # it overfits
        (2, -10.0, {"dataset": "mnist", "latent_dim": 200}),
    ],
)
def test_one_panel_or_data_set_to_the_contrary_is_said(row, change, panel):
    table = fallen(second(), change, **panel)
    assert verdicts(second(), third())[row] == claims.HOLDS
    assert verdicts(table, third())[row] == claims.BUT
    measured = claims.card(table, third()).measured[row]
    assert ("in 3 of 4 panels; on MNIST, N_z = 20, 0.0 times" in measured) == (row == 1)


@pytest.mark.parametrize(("apart", "said"), [(2.0, False), (20.0, True)])
def test_a_lead_below_the_spread_of_the_seeds_says_so(apart, said):
    one = second()
    seeds = [one.assign(seed=n, lower_bound=one.lower_bound + apart * n) for n in (-1, 0, 1)]
    measured = claims.card(pd.concat(seeds), third()).measured[0]
    assert ("less than seeds differ" in measured) == said
    assert "by 5.0" in measured


def test_curves_further_off_than_three_nats_are_not_the_papers():
    assert agreeing(third(off=2.9)) == {"100%": 6}
    assert agreeing(third(off=3.1)) == {"0%": 6}


@pytest.mark.parametrize(("factor", "share"), [(1.049, "100%"), (1.051, "0%")])
def test_on_faces_near_is_a_twentieth_of_the_bound(factor, share):
    table = paper.figure2().assign(seed=0)
    table = pd.concat([table, table[table.split == "test"].assign(split="train")])
    table.loc[table.dataset == "frey_face", "lower_bound"] *= factor
    faces = claims.agreement(table, third()).query("`ours within` == '5%'")
    assert re.findall(r"\((\d+%)\)", faces.to_string()) == 2 * [share]


@pytest.mark.parametrize("late", ["aevb", "wake_sleep", "mcem"])
def test_a_curve_that_begins_late_stands_where_it_begins(late):
    table = third()
    cut = table[(table.algorithm != late) | (table.samples > 3 * 10**6)]
    assert "nan" not in claims.card(second(), cut).to_string().lower()


def test_of_embedded_data_the_paper_claims_nothing():
    with pytest.raises(ValueError, match="Frey Face only, not on mnist_5k"):
        claims.card(second().replace("mnist", "mnist_5k"), third())


def test_it_is_a_table_of_markdown():
    lines = claims.markdown(claims.card(second(), third())).splitlines()
    assert lines[0] == "| claim | verdict | measured | figure |"
    assert {line.count("|") for line in lines} == {5}
