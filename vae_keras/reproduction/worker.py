"""A process of a `LocalExecutor`: ``python -m vae_keras.reproduction.worker FILE_DESCRIPTOR``.

It runs one task after the other, with one thread, and ends when the pipe is closed.
"""

import pickle
import signal
import sys
from multiprocessing.connection import Connection

from vae_keras.reproduction import executor


def main(descriptor: int) -> None:
    """Run the tasks received through the pipe; send back their reports and results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    executor.send = lambda message: connection.send(("report", message))
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        try:
            answer = ("result", function(*args, **kwargs))
        except BrokenPipeError:  # the other end was closed
            return
        except Exception as error:
            answer = ("error", error if _can_travel(error) else RuntimeError(repr(error)))
        connection.send(answer)


def _can_travel(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # pickling an arbitrary exception may raise anything
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]))
