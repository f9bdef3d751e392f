"""``python -m vae_keras``: the command line of the reproduction, which needs its packages.

Only ``data`` works with the library alone.
"""

import os
import sys


def main(words: list[str]) -> int:
    """Run the command line and return the exit status. Closed output streams are tolerated."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:  # for example by `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _run(words):
    try:
        if words == ["data"]:
            import vae_keras._import_tensorflow
            from vae_keras import datasets

            return datasets.report()
        from vae_keras.reproduction import arguments

        chosen = arguments.parse(words)
        import vae_keras._import_tensorflow  # noqa: F401
        from vae_keras.reproduction import command_line
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    return command_line.run(chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
