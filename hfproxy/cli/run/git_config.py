"""Environment variables that redirect git and git-lfs to the daemon
(docs/hub-protocol.md#git-redirection).

git replaces URLs of the Hub by the daemon's (`insteadOf`), and asks the hf-proxy helper for the daemon's password. The
password is never part of a URL, which `git remote -v` prints and git-lfs stores. A repository's own config is not
changed: its remotes stay the Hub's. A longer `insteadOf` in the user's config takes precedence.
"""

import sys
from collections.abc import Mapping

HUB_URLS = ("https://huggingface.co/", "https://hf.co/", "git@hf.co:", "ssh://git@hf.co/")

# git runs the helper in a shell, with the operation as its argument (gitcredentials(7)).
IN_CONTAINER = """!f() { test "$1" = get && printf 'username=hf_user\\npassword=%s\\n' "$HF_TOKEN"; }; f"""


def git_environment(
    environment: Mapping[str, str], endpoint: str, hub: str, *, in_container: bool = False
) -> dict[str, str]:
    """Return the `GIT_CONFIG_*` variables with the redirection added; entries of an earlier redirection are replaced.

    Args:
        environment: the caller's environment.
        endpoint: the URL of the daemon's data plane, without a trailing slash.
        hub: the origin that the daemon forwards to.
        in_container: hf-proxy is not available to git, so the helper takes the credential from the environment.
    """
    redirection = [(f"url.{endpoint}/.insteadOf", address) for address in dict.fromkeys((*HUB_URLS, f"{hub}/"))]
    # The empty value removes the helpers of the user's config, which would store the credential.
    redirection += [
        (f"credential.{endpoint}.helper", helper)
        for helper in ("", IN_CONTAINER if in_container else f"!{_program()} git-credential")
    ]
    names = {name for name, _ in redirection}
    entries = [entry for entry in _existing_entries(environment) if entry[0] not in names] + redirection
    return {"GIT_CONFIG_COUNT": str(len(entries))} | {
        f"GIT_CONFIG_{part}_{number}": text
        for number, entry in enumerate(entries)
        for part, text in zip(("KEY", "VALUE"), entry, strict=True)
    }


def _existing_entries(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the existing entries, or none if git would reject them as malformed."""
    count = environment.get("GIT_CONFIG_COUNT", "")
    if not (count.isascii() and count.isdigit()):
        return []
    keys = [(f"GIT_CONFIG_KEY_{number}", f"GIT_CONFIG_VALUE_{number}") for number in range(int(count[:5]))]
    return [
        (environment[key], environment[value]) for key, value in keys if key in environment and value in environment
    ]


def _program() -> str:
    """Return the shell command of this hf-proxy, independent of the command's PATH."""
    return f"{quoted(sys.executable)} -I -m hfproxy"


def quoted(text: str) -> str:
    """Quote for a POSIX shell: between single quotes only the quote itself is special (POSIX shell, 2.2.2)."""
    return "'" + text.replace("'", "'\\''") + "'"
