"""What a preset says, and what papermill passes."""

import builtins
import types

import pytest
import yaml

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
    curves = [presets.resolve(name).samples_of_curves for name in presets.NAMES]
    assert curves == [None, 300_000, None, None]
    assert presets.resolve("quick", samples=10**6) == presets.resolve("quick")
    fewer = presets.resolve("quick", samples=5)
    assert (fewer.samples, fewer.samples_of_curves) == (5, None)
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
    injected(**presets.read("smoke"))  # papermill -f, with all that a preset has
    for name, value in (("rows", "[3, 5]"), ("step_size", "[0.02, 0.1]"), ("rows", "[3]")):
        with pytest.raises(ValueError, match=f"{name} is .*, but must be one value"):
            injected(**{name: value})
    with pytest.raises(ValueError, match="rows is 'many', but must be a value like 10"):
        injected(rows="many")


OWN = {
    "samples": "1e5", "allow_embedded": True, "mnist_latent_dims": [3],
    "frey_face_latent_dims": [2],
    "n_train": 1000, "seeds": [0, 1],
}  # fmt: skip


@pytest.fixture
def own(tmp_path):
    """A function that writes a preset of one's own, OWN but for `changes`; its file."""

    def write(name="mine.yaml", **changes):
        values = {key: value for key, value in (OWN | changes).items() if value != "left out"}
        file = tmp_path / name
        file.write_text(yaml.safe_dump(values))
        return str(file)

    return write


def test_a_preset_of_ones_own(own):
    file = own(samples_of_other_seeds=5000)
    assert presets.resolve(file) == presets.Settings(
        file, 10**5, True, [3], [2], [1000], [0, 1], samples_of_other_seeds=5000
    )
    assert presets.label(file) == "mine"
    assert presets.label("quick") == "quick"
    assert presets.resolve(file, samples=7).samples == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples is 0, but must be a whole number of at least 1"),
        ({"samples": "many"}, "samples is 'many', but must be a whole number"),
        ({"allow_embedded": "nein"}, "allow_embedded is 'nein', but must be True or False"),
        ({"seeds": [-1]}, r"seeds is \[-1\], but must be a list of whole numbers of at least 0"),
        ({"n_train": "left out"}, "it lacks n_train, and has"),
        ({"colour": 3}, "it lacks none, and has .*colour"),
        ({"samples_of_other_seeds": 1.5}, "samples_of_other_seeds is 1.5, but must be a whole"),
    ],
)
def test_a_preset_that_is_none(own, changes, message):
    file = own(**changes)
    with pytest.raises(ValueError, match=message) as error:
        presets.read(file)
    assert file in str(error.value)


def test_a_file_that_is_no_preset(own, tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ValueError, match="it lacks allow_embedded"):
        presets.read(str(tmp_path / "empty.yaml"))
    with pytest.raises(ValueError, match="cannot be read as a preset"):
        presets.read(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "bad.yaml").write_text("{")
    with pytest.raises(ValueError, match="cannot be read as a preset"):
        presets.read(str(tmp_path / "bad.yaml"))
    for taken in ("smoke.yaml", "custom.yaml"):  # whose folder is another's
        with pytest.raises(ValueError, match="called otherwise"):
            presets.read(own(taken))


@pytest.mark.parametrize(("value", "so_far"), [("1", True), ("0", False), ("", False)])
def test_so_far_is_said_by_a_number(value, so_far, monkeypatch):
    monkeypatch.setenv("VAE_KERAS_SO_FAR", value)
    assert presets.so_far() == so_far


def test_a_list_that_no_preset_has_must_be_given(injected):
    with pytest.raises(ValueError, match=r"dims is None, but must be a list like \[2\]"):
        injected(dims="None")
