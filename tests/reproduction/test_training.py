"""One run: what is recorded when, and what its checkpoints hold."""


import pytest

from vae_keras.reproduction import experiments, training
from vae_keras.reproduction.experiments import Experiment


def test_taking_the_curve_leaves_the_epochs_metrics_alone(faces):
    """The bound of the full sets is not mixed into what `fit` shows."""
    experiment = Experiment("synthetic_faces", 2, samples=3200, hidden=5, step_size=0.02)
    model = experiment.build(faces)
    history = model.fit(faces.x_train, epochs=2, verbose=0).history["elbo"]
    seen = []

    class Note(training.StopAtSamples):
        def on_epoch_end(self, epoch, logs):
            seen.append(logs["elbo"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "StopAtSamples", Note)
        patch.setattr(Experiment, "recorded_at", [1600, 3200])
        experiments.run(experiment, faces)
    assert seen[0] == history[0]
    assert seen[1] == pytest.approx(history[1], rel=0.1)  # the recorded bounds drew noise
