import base64
import io

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.image import imread

from vae_keras.reproduction import sliders


def test_a_picture_stands_with_the_controls_and_follows_them(monkeypatch):
    shown, drawn = [], []
    monkeypatch.setattr(sliders, "display", lambda bundle, raw: shown.append((bundle, raw)))

    def draw(mu):
        figure, axis = plt.subplots(figsize=(2, 1), dpi=100)
        axis.plot(mu, 0, "o")
        drawn.append(mu)
        return figure

    slider = ipywidgets.FloatSlider(0.5, min=-1, max=1)
    sliders.explore(draw, mu=slider)
    ((bundle, raw),) = shown
    assert raw
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert imread(io.BytesIO(base64.b64decode(bundle["image/png"]))).size
    slider.value = -0.5
    assert drawn == [0.5, -0.5]
