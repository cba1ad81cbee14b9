"""The entry point of `hf-proxy`, also run as `python -m hfproxy`."""

import os
import sys

from hfproxy.cli import run


def main() -> int:
    """Run the command in `sys.argv` and return its exit code (EXIT STATUS in man/hf-proxy.1)."""
    # Python sets a stream to None if its descriptor is closed (`>&-`); output is discarded then.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
