"""What a preset says, and what papermill passes."""

import pytest

from vae_keras.reproduction import presets


def test_presets():
    assert presets.resolve("smoke") == presets.Settings("smoke", 2000, True, [3], [2], [1000])
    for name in ("standard", "paper"):
        assert not presets.resolve(name).allow_embedded
    assert [presets.resolve(n).samples for n in presets.NAMES] == [2000, 10**6, 10**7, 10**8]
    assert presets.resolve("quick", samples=5).samples == 5
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
    assert sizes == presets.Settings("smoke", 1000, True, [5], [], [250])
