"""What a preset says, and what papermill passes."""

import pytest
import yaml

from vae_keras.reproduction import presets


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
        ("None", [0], [0]),
        ("None", None, None),
        ("0.02", None, 0.02),
        ("12", 20, 12),
        (1e6, 2000, 10**6),
        (1.5, 2000, 1.5),
        (1.0, 0.02, 1.0),
        ("smoke", "quick", "smoke"),
        ("12", "quick", "12"),
    ],
)
def test_what_papermill_passes_is_read_as_it_was_meant(value, default, meant):
    found = presets.typed("rows", value, default)
    assert found == meant
    assert type(found) is type(meant)


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
    assert presets.read(file) == {
        "preset": file, "samples": 10**5, "allow_embedded": True, "mnist_latent_dims": [3],
        "frey_face_latent_dims": [2], "n_train": [1000], "seeds": [0, 1],
        "samples_of_other_seeds": 5000,
    }  # fmt: skip
    assert presets.label(file) == "mine"
    assert presets.label("quick") == "quick"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples is 0, but must be an integer of at least 1"),
        ({"samples": "many"}, "samples is 'many', but must be a number"),
        ({"allow_embedded": "nein"}, "allow_embedded is 'nein', but must be True or False"),
        ({"seeds": [-1]}, r"seeds is \[-1\], but must be a list of whole numbers of at least 0"),
        ({"n_train": "left out"}, "it lacks n_train$"),
        ({"colour": 3}, "it has the unknown key colour$"),
        (
            {"n_train": "left out", "n_trian": 5},
            "lacks n_train, and it has the unknown key n_trian",
        ),
        ({"samples_of_other_seeds": 1.5}, "samples_of_other_seeds is 1.5, but must be an int"),
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
        with pytest.raises(ValueError, match="with another name"):
            presets.read(own(taken))
