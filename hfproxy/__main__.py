"""The program: `hf-proxy`, also `python -m hfproxy`."""

import os
import sys

from hfproxy.cli import run


def main() -> int:
    """Run the command that was typed; returns the exit code (EXIT STATUS in man/hf-proxy.1)."""
    # Python has no streams where the descriptors are closed (`>&-`), and there is nobody to talk to then.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
