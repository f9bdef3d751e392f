"""The runner of the figure notebooks, without a kernel: what it starts, says and ends."""

import signal

import pytest

from vae_keras.reproduction import notebooks


def test_an_order_to_end_is_taken_while_notebooks_run():
    before = signal.getsignal(signal.SIGHUP)
    with notebooks._Notebooks(labelled=False, threads=None):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    assert signal.getsignal(signal.SIGHUP) == before
