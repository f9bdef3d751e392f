"""What decides each figure, and which runs it is drawn from."""

import types
from dataclasses import fields

import nbformat
import pytest

from vae_keras import datasets
from vae_keras.reproduction import paths, presets
from vae_keras.reproduction.settings import (
    FIGURES,
    Curves,
    Differences,
    FullVB,
    GraphicalModel,
    LowerBound,
    Manifold,
    MarginalLikelihood,
    Samples,
)


def test_each_notebook_has_its_settings_and_only_says_what_the_user_sets():
    """Every default stands in one place, the class; the notebook names those that are its own."""
    assert sorted(FIGURES) == paths.NAMES
    for name, figure in FIGURES.items():
        cells = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4).cells
        (own,) = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
        namespace = {}
        exec(own, namespace)
        del namespace["__builtins__"]
        assert namespace == {f.name: None for f in fields(figure)} | {"preset": "quick"}
        assert figure.of(namespace) == figure()
        code = "".join(c.source for c in cells if c.cell_type == "code")
        assert f"settings = {figure.__name__}.of(globals())" in code
        assert ("settings.runs()" in code) == (figure is not GraphicalModel)
        (table,) = [c.source for c in cells if "| name | what |" in c.source]
        for parameter, value in figure().parameters.items():
            known = parameter in (*presets.KEYS, "preset", "ends", "pretrained")
            row = next((r for r in table.split("\n") if f"`{parameter}`" in r), "")
            said = {str(value), f"{value:,}"} if isinstance(value, int) else {f"{value}"}
            assert known or value is None or isinstance(value, list) or any(s in row for s in said)


def test_the_settings_of_a_preset():
    assert Curves(preset="smoke").parameters == {
        "preset": "smoke", "samples": 2000, "allow_embedded": True, "seeds": [0],
        "ends": [2000, 2000],
    }  # fmt: skip
    for name in ("standard", "paper"):
        assert not Curves(preset=name).allow_embedded
    assert [Curves(preset=n).samples for n in presets.NAMES] == [2000, 10**6, 10**7, 10**8]
    seeds = {name: Curves(preset=name).seeds for name in presets.NAMES}
    assert seeds == {"smoke": [0], "quick": [0], "standard": [0, 1, 2], "paper": [0, 1, 2]}
    ends = [Curves(preset=name).ends for name in presets.NAMES]
    assert ends == [(2000, 2000), (300_000,) * 2, (10**7,) * 2, (10**8, 10**7)]
    assert Curves(samples=10**6) == Curves()  # whatever is drawn of them
    assert Curves(samples=5).ends == (5, 5)
    assert Curves(seeds=[2, 0]).seeds == [2, 0]
    assert LowerBound(preset="smoke", mnist_latent_dims=[2, 7]).mnist_latent_dims == [2, 7]


@pytest.mark.parametrize(
    ("figure", "given", "message"),
    [
        (Curves, {"seeds": [-1]}, r"seeds is \[-1\], but must be .* of at least 0"),
        (MarginalLikelihood, {"n_train": [0]}, r"n_train is \[0\], but must be .* of at least 1"),
        (Curves, {"preset": "fast"}, "unknown preset 'fast': one of smoke, quick"),
        (LowerBound, {"mnist_latent_dims": [0]}, r"mnist_latent_dims is \[0\], but must be a list"),
        (Curves, {"samples": 1.5}, r"samples is 1\.5"),
        (Curves, {"allow_embedded": "false"}, "allow_embedded is 'false', but must be True or"),
        (Samples, {"rows": "many"}, "rows is 'many', but must be a number, like 10"),
        (Samples, {"rows": 0}, "rows is 0, but must be an integer of at least 1"),
        (Samples, {"rows": [3, 5]}, "rows is .*, but must be one value"),
        (Samples, {"rows": "[3]"}, "rows is .*, but must be one value"),
        (Samples, {"step_size": "[0.02, 0.1]"}, "step_size is .*, but must be one value"),
        (Manifold, {"face_grid": 1}, "face_grid is 1, but must be an integer of at least 2"),
        (Manifold, {"pretrained": True, "seed": 7, "step_size": 0.5},
         "so seed, step_size would do nothing"),
        (Manifold, {"pretrained": "True", "samples": "5000"}, "so samples would do nothing"),
    ],
)  # fmt: skip
def test_what_a_parameter_cannot_be_is_refused(figure, given, message):
    with pytest.raises(ValueError, match=message):
        figure(**given)


def test_what_papermill_passes_as_strings_is_read_as_it_was_meant():
    found = Samples(rows="3", latent_dims="[2, 5]", samples="1e3", step_size="0.1", figures_dir="7")
    assert found == Samples(
        rows=3, latent_dims=[2, 5], samples=1000, step_size=0.1, figures_dir="7"
    )
    assert type(found.samples) is int
    assert LowerBound(algorithms="aevb", mnist_latent_dims=5, frey_face_latent_dims="[]") == (
        LowerBound(algorithms=["aevb"], mnist_latent_dims=[5], frey_face_latent_dims=[])
    )
    assert Samples(latent_dims="None") == Samples()


def test_a_name_that_is_no_parameter_is_refused_while_the_notebook_begins():
    """It would be ignored; what its later cells define, and the user's own, is no parameter."""
    begun = {"preset": "smoke", "rows": None, "In": ["preset"], "Out": {}, "_": 3, "exit": exit}
    assert Samples.of(begun) == Samples(preset="smoke")
    message = (
        "has no parameter colour, rws: it has allow_embedded, figures_dir, latent_dims, preset"
    )
    with pytest.raises(ValueError, match=message):
        Samples.of(begun | {"rws": 3, "colour": "red"})
    for of_another in ("seeds", "n_train", "mnist_latent_dims"):  # which presets have
        with pytest.raises(ValueError, match=f"no parameter {of_another}: it has"):
            Samples.of(begun | {of_another: [7]})
    whole = begun | presets.read("smoke")  # papermill -f, with all that a preset has
    assert Samples.of(whole) == Samples(preset="smoke")
    again = begun | {"settings": Samples(), "bounds": [3]}
    assert Samples.of(again) == Samples(preset="smoke")


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_the_runs_of_each_figure():
    found = LowerBound(
        mnist_latent_dims=[3, 20], frey_face_latent_dims=[2], seeds=[0, 1], step_size=0.02
    ).runs()
    assert len(found) == 3 * 2 * 2
    assert {(e.latent_dim, e.samples, e.step_size) for e, _ in found} == {
        (size, 300_000, 0.02) for size in (3, 20, 2)
    }
    assert {e.samples for e, _ in MarginalLikelihood(algorithms=["aevb"]).runs()} == {300_000}
    assert {e.samples for e, _ in Samples(latent_dims=[2, 5]).runs()} == {10**6}
    at_smoke = LowerBound(preset="smoke").runs()
    assert [(e.dataset, e.latent_dim, e.algorithm, e.seed) for e, _ in at_smoke] == [
        (data.name, size, algorithm, 0)
        for data, size in ((at_smoke[0][1], 3), (at_smoke[-1][1], 2))
        for algorithm in ("aevb", "wake_sleep")
    ]
    assert GraphicalModel(preset="paper").runs() == []
    assert {e.n_train for e, _ in MarginalLikelihood().runs()} == {1000}
    third = MarginalLikelihood(n_train=[1000, 50_000]).runs()
    embedded = third[0][1].embedded
    sizes = {e.n_train for e, _ in third}
    assert sizes == ({1000, 4000} if embedded else {1000, 50_000})
    assert {e.algorithm for e, _ in FullVB(preset="smoke").runs()} == {"aevb", "full_vb"}
    both = at_smoke + MarginalLikelihood(preset="smoke").runs()
    assert [e.key for e, _ in Differences(preset="smoke").runs()] == [e.key for e, _ in both]
    assert [e.latent_dim for e, _ in Samples(preset="smoke").runs()] == [2, 5, 10, 20]
    assert [e.latent_dim for e, _ in Manifold(preset="smoke").runs()] == [2, 2]
    with pytest.raises(ValueError, match=r"latent_dim is 'two', but must be an integer"):
        Samples(latent_dims=["two"]).runs()


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_at_the_papers_budget_the_first_seed_goes_to_its_end_and_figure_3_ends_where_it_does():
    paper = {"preset": "paper", "allow_embedded": True}
    found = LowerBound(mnist_latent_dims=[3], algorithms=["aevb"], **paper).runs()
    assert len(found) == (1 + 4) * 3
    lengths = {(e.seed, e.samples) for e, _ in found}
    assert lengths == {(0, 10**8), (1, 10**7), (2, 10**7)}
    third = MarginalLikelihood(algorithms=["mcem"], **paper).runs()
    assert {(e.seed, e.samples) for e, _ in third} == {(0, 6 * 10**7), (1, 10**7), (2, 10**7)}
    assert {e.samples for e, _ in Samples(latent_dims=[2], **paper).runs()} == {10**8}
    shorter = LowerBound(samples=2000, algorithms=["aevb"], **paper).runs()
    assert {e.samples for e, _ in shorter} == {2000}
    other = LowerBound(seeds=[2, 0], algorithms=["aevb"], **paper).runs()
    lengths = {(e.seed, e.samples) for e, _ in other}
    assert lengths == {(2, 10**8), (0, 10**7)}  # the first that is asked for


@pytest.mark.parametrize("name", FIGURES)
def test_which_data_a_figure_needs_is_known_before_they_are_loaded(name, monkeypatch):
    asked = set()

    def load(name, allow_embedded):
        asked.add(name)
        return types.SimpleNamespace(name=name, embedded=False)

    monkeypatch.setattr(datasets, "load", load)
    figure = FIGURES[name](preset="smoke")
    figure.runs()
    assert set(figure.learns_from) == asked
    assert len(figure.learns_from) == len(asked)
