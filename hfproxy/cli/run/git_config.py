"""Variables that lead git, and git-lfs with it, to the daemon
(docs/hub-protocol.md#git-redirection).

Addresses of the Hub are read as the daemon's (`insteadOf`), and the password for the daemon is asked of our helper. It
is never part of an address, which `git remote -v` prints and git-lfs writes down. What stands in a repository's config
stays what it was: remotes are the Hub's. A longer `insteadOf` of the user's own wins over ours.
"""

import sys
from collections.abc import Mapping

HUB = ("https://huggingface.co/", "https://hf.co/", "git@hf.co:", "ssh://git@hf.co/")

# git runs it in a shell, with the word that says what it wants (gitcredentials(7)).
IN_CONTAINER = """!f() { test "$1" = get && printf 'username=hf_user\\npassword=%s\\n' "$HF_TOKEN"; }; f"""


def git_environment(
    environment: Mapping[str, str], endpoint: str, hub: str, *, in_container: bool = False
) -> dict[str, str]:
    """The `GIT_CONFIG_*` variables with ours added to those that are there; ours of before are replaced.

    Args:
        environment: the caller's.
        endpoint: the daemon's data plane, without a slash at its end.
        hub: the origin it leads to.
        in_container: this program is not to be found there, and git has the credential from the environment.
    """
    ours = [(f"url.{endpoint}/.insteadOf", address) for address in dict.fromkeys((*HUB, f"{hub}/"))]
    # The empty one takes out the helpers of the user's own config: they would keep what they are told.
    ours += [
        (f"credential.{endpoint}.helper", helper)
        for helper in ("", IN_CONTAINER if in_container else f"!{_program()} git-credential")
    ]
    names = {name for name, _ in ours}
    entries = [entry for entry in _existing(environment) if entry[0] not in names] + ours
    numbered = enumerate(entries)
    return {"GIT_CONFIG_COUNT": str(len(entries))} | {
        f"GIT_CONFIG_{what}_{number}": text
        for number, entry in numbered
        for what, text in zip(("KEY", "VALUE"), entry, strict=True)
    }


def _existing(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is there; nothing where git itself would find it malformed."""
    count = environment.get("GIT_CONFIG_COUNT", "")
    if not (count.isascii() and count.isdigit()):
        return []
    keys = [(f"GIT_CONFIG_KEY_{number}", f"GIT_CONFIG_VALUE_{number}") for number in range(int(count[:5]))]
    return [
        (environment[key], environment[value]) for key, value in keys if key in environment and value in environment
    ]


def _program() -> str:
    """This very program, whatever PATH the command has; git runs it in a shell."""
    return f"{quoted(sys.executable)} -I -m hfproxy"


def quoted(text: str) -> str:
    """Between single quotes nothing means anything but the quote itself (POSIX shell, 2.2.2)."""
    return "'" + text.replace("'", "'\\''") + "'"
