"""What a preset says, and what papermill passes."""

import builtins
import types

import pytest

from vae_keras.reproduction import presets


def test_presets():
    assert presets.resolve("smoke") == presets.Settings("smoke", 2000, True, [3], [2], [1000], [0])
    for name in ("standard", "paper"):
        assert not presets.resolve(name).allow_embedded
    assert [presets.resolve(n).samples for n in presets.NAMES] == [2000, 10**6, 10**7, 10**8]
    seeds = {name: presets.resolve(name).seeds for name in presets.NAMES}
    assert seeds == {"smoke": [0], "quick": [0], "standard": [0, 1, 2], "paper": [0, 1, 2]}
    others = [presets.resolve(name).samples_of_other_seeds for name in presets.NAMES]
    assert others == [None, None, None, 10**7]
    assert presets.resolve("quick", samples=5).samples == 5
    assert presets.resolve("quick", seeds=[2, 0]).seeds == [2, 0]
    with pytest.raises(ValueError, match=r"seeds is \[-1\], but must be .* of at least 0"):
        presets.resolve("quick", seeds=[-1])
    with pytest.raises(ValueError, match=r"n_train is \[0\], but must be .* of at least 1"):
        presets.resolve("quick", n_train=[0])
    with pytest.raises(ValueError, match="unknown preset 'fast': one of smoke, quick"):
        presets.resolve("fast")
    assert presets.resolve("smoke", mnist_latent_dims=[2, 7]).mnist_latent_dims == [2, 7]
    with pytest.raises(ValueError, match=r"mnist_latent_dims is \[0\], but must be a list"):
        presets.resolve("quick", mnist_latent_dims=[0])
    with pytest.raises(ValueError, match=r"samples is 1\.5"):
        presets.resolve("quick", samples=1.5)
    with pytest.raises(ValueError, match="allow_embedded is 'false', but must be True or False"):
        presets.resolve("quick", allow_embedded="false")  # which would be true


@pytest.mark.parametrize(
    ("value", "default", "meant"),
    [
        ("[3]", [0], [3]),
        ("[0, 1, 2]", [0], [0, 1, 2]),
        ("0, 1", [0], [0, 1]),
        ("[]", [3], []),
        ('["wake_sleep"]', ["aevb"], ["wake_sleep"]),
        ("wake_sleep", ["aevb"], ["wake_sleep"]),
        (3, [0], [3]),
        ("None", [0], None),
        ("None", None, None),
        ("0.02", None, 0.02),
        ("12", 20, 12),
        (1e6, 2000, 10**6),
        (1.5, 2000, 1.5),
        (1.0, 0.02, 1.0),
        ("smoke", "quick", "smoke"),
        ("12", "quick", "12"),
        ("twelve", 20, "twelve"),
    ],
)
def test_what_papermill_passes_is_read_as_it_was_meant(value, default, meant):
    found = presets.typed(value, default)
    assert found == meant
    assert type(found) is type(meant)
    sizes = presets.resolve("smoke", 1e3, "True", "[5]", "[]", n_train=250)
    assert sizes == presets.Settings("smoke", 1000, True, [5], [], [250], [0])


def test_what_a_parameters_cell_assigns():
    """Its literals; what is none is unknown, what is no plain assignment to a name is left out."""
    cell = (
        'preset = "quick"\nrows = two = -3\nn = len([])\nx.y = 1\nz: int = 2\nif rows:\n    a = 1'
    )
    assert presets.assigned(cell) == {"preset": "quick", "rows": -3, "two": -3, "n": None}
    assert presets.assigned("%matplotlib inline\nrows = 3") == {}


CELL = (
    'preset = "smoke"\nsamples = None\nrows = 10\ndims = [2]\nstep_size = None\nfigures_dir = None'
)


@pytest.fixture
def injected(monkeypatch):
    """A function that resolves preset smoke in a notebook into which papermill put `parameters`."""

    def resolve(**parameters):
        lines = [f"{name} = {value!r}" for name, value in parameters.items()]
        ran = ["", CELL, "# Parameters\n" + "\n".join(lines), "rows = rows"]
        user_ns = {"In": ran} | presets.assigned(CELL) | parameters
        shell = types.SimpleNamespace(user_ns=user_ns)
        monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        presets.resolve("smoke")
        return user_ns

    return resolve


def test_what_papermill_injects_has_the_type_of_the_cells_own_value(injected):
    found = injected(rows="3", dims="[2, 5]", samples="1e3", step_size="0.1", figures_dir="2024")
    assert {name: found[name] for name in ("rows", "dims", "samples", "step_size")} == {
        "rows": 3, "dims": [2, 5], "samples": 1000, "step_size": 0.1,
    }  # fmt: skip
    assert type(found["samples"]) is int  # None in the cell: the preset's, a whole number
    assert found["figures_dir"] == "2024"  # a folder, whatever it looks like


def test_what_papermill_injects_must_be_a_parameter_with_a_fitting_value(injected):
    message = "no parameter colour, rws: it has dims, figures_dir, preset, rows, samples, step_size"
    with pytest.raises(ValueError, match=message):
        injected(rws=3, colour="red")
    for of_another in ("seeds", "n_train", "mnist_latent_dims"):  # which presets have
        with pytest.raises(ValueError, match=f"no parameter {of_another}: it has dims"):
            injected(**{of_another: "[7]"})
    for name, value in (("rows", "[3, 5]"), ("step_size", "[0.02, 0.1]"), ("rows", "[3]")):
        with pytest.raises(ValueError, match=f"{name} is .*, but must be one value"):
            injected(**{name: value})
    with pytest.raises(ValueError, match="rows is 'many', but must be a value like 10"):
        injected(rows="many")
