"""Names of git refs."""

import re

from hfproxy.core.policy.access import NEW_PULL_REQUEST

# What git refuses in a ref name (git-check-ref-format): `main~3` is a way from one commit to another.
NOT_IN_A_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{")


def is_ref_name(text: str) -> bool:
    """Whether a text can be the name of a ref or a commit, and of one only."""
    return bool(text) and text != NEW_PULL_REQUEST and not NOT_IN_A_REF.search(text)
