"""The program: `hf-proxy`, also `python -m hfproxy`."""

import sys

from hfproxy.cli import run


def main() -> int:
    """Run the command that was typed; returns the exit code (design §7)."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
