"""All of a run's state in one file: from it a model goes on to the same numbers."""

import numpy as np

from vae_keras.reproduction import store


def test_a_model_goes_on_from_its_checkpoint_as_if_nothing_had_been(small, faces):
    """Weights, what the optimiser has summed up, its step size, the counters, the running means."""
    record = {"samples": 1600, "curve": [{"samples": 1600}], "ü": None}
    model = small.build(faces)
    model.optimizer.learning_rate.assign(0.1)
    model.fit(faces.x_train, verbose=0)
    store.checkpoint("key", model, record)
    assert [path.name for path in (store.runs_folder() / "key").iterdir()] == [store.CHECKPOINT]
    assert store.read_progress("key") == record
    assert store.records()["key"] == record | {"state": "stopped"}
    other = small.build(faces)
    assert store.restore("key", other) == record
    assert (other.samples_evaluated, other.examples_seen) == (1600, 1600)
    for a, b in zip(model.metrics_variables, other.metrics_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    assert {float(metric.count) for metric in other.metrics} == {1600}
    for goes_on in (False, True):
        if goes_on:
            for one in (model, other):
                one.fit(faces.x_train, epochs=2, initial_epoch=1, verbose=0)
        ours, theirs = ([*m.variables, *m.optimizer.variables] for m in (model, other))
        assert len(ours) > 2 * len(model.trainable_variables)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
