"""Validation of git ref names."""

import re

from hfproxy.core.policy.access import NEW_PULL_REQUEST

# Characters that git forbids in a ref name (git-check-ref-format(1)); `main~3`, say, is a revision expression.
NOT_IN_A_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{")


def is_ref_name(text: str) -> bool:
    """Return whether a text can be the name of a ref or the id of a commit, rather than a revision expression."""
    return bool(text) and text != NEW_PULL_REQUEST and not NOT_IN_A_REF.search(text)
