"""What has to be installed before the data plane can be measured: `needs.py` says it in one line and exits 1."""

import shutil
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support")]

from rig import NGINX  # noqa: E402

PACKAGES = {NGINX: "nginx", "wrk": "wrk", "curl": "curl", "systemd-socket-activate": "systemd"}


def check() -> None:
    """Returns if everything is there."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"the bench needs what is not installed; on Debian run: apt install {' '.join(missing)}")


if __name__ == "__main__":
    check()
