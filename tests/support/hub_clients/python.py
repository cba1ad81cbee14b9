"""The real `huggingface_hub`: a script in its interpreter, and what it leaves in `result`."""

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

from fakehub import environment

from hub_clients.people import REAL

HEAD = "import json, sys, os\nfrom huggingface_hub import *\napi = HfApi()\nresult = None\n"
TAIL = "\nprint('RESULT' + json.dumps(result))\n"


class Client:
    """Runs scripts against one hub, in one home."""

    def __init__(self, python: str, hub: Any, home: Path) -> None:
        self.python, self.hub, self.home = python, hub, home

    def __call__(self, script: str, token: str | None = REAL, **env: str) -> Any:
        """Run a script that must succeed."""
        done = self._run(textwrap.dedent(script), token, env)
        assert "RESULT" in done.stdout, done.stderr[-3000:]
        return json.loads(done.stdout.rpartition("RESULT")[2])

    def failure(self, script: str, token: str | None = REAL) -> tuple[str, str]:
        """Run a script that must fail; return the exception's name and text."""
        body = textwrap.indent(textwrap.dedent(script).strip("\n"), "    ")
        failed = f"try:\n{body}\nexcept Exception as e:\n    result = [type(e).__name__, str(e)]\n"
        result = self(failed, token)
        assert result is not None, "nothing failed"
        return tuple(result)

    def _run(self, script: str, token: str | None, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.home), "HF_HOME": str(self.home / "hf")}
        variables |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment(self.hub.url, self.hub.ca_path, token)}
        command = [self.python, "-c", HEAD + script + TAIL]
        return subprocess.run(
            command, env=variables | env, cwd=self.home, capture_output=True, text=True, timeout=100, check=False
        )
