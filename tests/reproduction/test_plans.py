"""Which runs each figure is drawn from."""

import inspect

import nbformat
import pytest

from vae_keras.reproduction import notebooks, paths, plans, presets


def test_each_notebook_has_its_plan_and_takes_its_runs_from_it():
    assert sorted(plans.PLANS) == notebooks.NAMES
    for name, plan in plans.PLANS.items():
        code = "".join(c.source for c in nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4).cells)
        if name != "fig_graphical_model":
            arguments = ", ".join(inspect.signature(plan).parameters)
            assert f"plans.{plan.__name__}({arguments})" in code, name


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_a_plan_at_a_preset_is_what_the_notebook_makes_of_its_parameters():
    settings = presets.resolve(
        "quick", mnist_latent_dims=[3, 20], frey_face_latent_dims=[2], seeds=[0, 1]
    )
    found = plans.lower_bound(settings, 0.02, ["aevb", "wake_sleep"])
    assert len(found) == 3 * 2 * 2
    assert {(e.latent_dim, e.samples, e.step_size) for e, _ in found} == {
        (size, 300_000, 0.02) for size in (3, 20, 2)
    }
    third = plans.marginal_likelihood(settings, None, ["aevb"], 3, 100)
    assert {e.samples for e, _ in third} == {300_000}
    assert {e.samples for e, _ in plans.samples(settings, 0, None, [2, 5])} == {10**6}
    at_smoke = plans.of("fig_lower_bound", "smoke")
    assert [(e.dataset, e.latent_dim, e.algorithm, e.seed) for e, _ in at_smoke] == [
        (data.name, size, algorithm, 0)
        for data, size in ((at_smoke[0][1], 3), (at_smoke[-1][1], 2))
        for algorithm in ("aevb", "wake_sleep")
    ]
    assert plans.of("fig_graphical_model", "paper") == []
    sizes = {e.n_train for e, _ in plans.of("fig_marginal_likelihood", "quick")}
    embedded = plans.of("fig_marginal_likelihood", "quick")[0][1].embedded
    assert sizes == ({1000, 4000} if embedded else {1000, 50_000})
    assert {e.algorithm for e, _ in plans.of("fig_full_vb", "smoke")} == {"aevb", "full_vb"}
    both = plans.of("fig_lower_bound", "smoke") + plans.of("fig_marginal_likelihood", "smoke")
    assert [e.key for e, _ in plans.of("fig_differences", "smoke")] == [e.key for e, _ in both]
    assert [e.latent_dim for e, _ in plans.of("fig_samples", "smoke")] == [2, 5, 10, 20]
    assert [e.latent_dim for e, _ in plans.of("fig_manifold", "smoke")] == [2, 2]


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_at_the_papers_budget_the_first_seed_goes_to_its_end_and_figure_3_ends_where_it_does():
    settings = presets.resolve("paper", mnist_latent_dims=[3], allow_embedded=True)
    found = plans.lower_bound(settings, None, ["aevb"])
    assert len(found) == (1 + 4) * 3
    lengths = {(e.seed, e.samples) for e, _ in found}
    assert lengths == {(0, 10**8), (1, 10**7), (2, 10**7)}
    third = plans.marginal_likelihood(settings, None, ["mcem"], 3, 100)
    assert {(e.seed, e.samples) for e, _ in third} == {(0, 6 * 10**7), (1, 10**7), (2, 10**7)}
    assert {e.samples for e, _ in plans.samples(settings, 0, None, [2])} == {10**8}
    shorter = presets.resolve("paper", samples=2000, allow_embedded=True)
    assert {e.samples for e, _ in plans.lower_bound(shorter, None, ["aevb"])} == {2000}
    other = presets.resolve("paper", seeds=[2, 0], allow_embedded=True)
    lengths = {(e.seed, e.samples) for e, _ in plans.lower_bound(other, None, ["aevb"])}
    assert lengths == {(2, 10**8), (0, 10**7)}  # the first that is asked for


def test_which_data_a_figure_needs_is_known_before_they_are_loaded():
    assert plans.data_sets("fig_graphical_model") == []
    assert plans.data_sets("fig_samples") == ["mnist"]
    for name in ("fig_manifold", "fig_differences"):
        assert plans.data_sets(name) == ["mnist", "frey_face"]
