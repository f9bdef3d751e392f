"""A process that runs tasks: what it answers."""

import os
import threading
from multiprocessing import Pipe

from vae_keras.reproduction import executor, worker


class Odd(Exception):
    """It cannot be pickled: it holds a lock."""

    def __init__(self, first, second):
        super().__init__(first + second)
        self.lock = threading.Lock()


def odd():
    raise Odd("o", "dd")


def test_it_answers_each_task_and_ends_with_the_pipe(monkeypatch):
    monkeypatch.setattr(executor, "send", None)
    ours, theirs = Pipe()
    for task in ((int, ("7",), {}), (int, ("x",), {}), (executor.report, ("half",), {})):
        ours.send(task)
    ours.send((odd, (), {}))
    descriptor = os.dup(theirs.fileno())
    theirs.close()
    answers = []
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)  # this process keeps its own
    thread = threading.Thread(target=worker.main, args=(descriptor,))
    thread.start()
    for _ in range(5):
        answers.append(ours.recv())
    ours.close()
    thread.join(10)
    assert not thread.is_alive()
    kinds = [kind for kind, _ in answers]
    assert kinds == ["result", "error", "report", "result", "error"]
    assert answers[0][1] == 7
    assert isinstance(answers[1][1], ValueError)
    assert answers[2][1] == "half"
    assert str(answers[4][1]) == "Odd('odd')"  # as far as it can be told
