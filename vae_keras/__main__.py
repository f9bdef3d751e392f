"""``python -m vae_keras``: the command line of the reproduction, which needs its packages.

``data`` alone is answered by the library.
"""

import sys

from vae_keras import datasets


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    if arguments == ["data"]:
        return datasets.report()
    try:
        from vae_keras.reproduction import command_line
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    return command_line.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
