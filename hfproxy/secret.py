"""The only type that may hold a token, a passphrase or a key.

A plain string leaks easily: it prints, formats, pickles and shows up in tracebacks. A `Secret` does none of these; code
that needs the text calls `reveal()`, and these calls are easy to find. The type does not protect the memory of the
process: `hfproxy.daemon.runtime.hardening` does what is possible there.
"""

import hashlib
import hmac
from typing import NoReturn, Self, final

HIDDEN = "<secret>"


@final
class Secret:
    """A text that nothing can print, encode or pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Every call is a place that a reviewer should look at."""
        return self._text

    def sha256(self) -> str:
        """Return the SHA-256 of the text as 64 hex digits, to compare secrets without their text.

        Only for secrets with enough randomness that no search finds the text from its digest: tokens and keys, never
        passphrases.
        """
        return hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    # Unhashable: a set or dict of secrets would keep them alive unnoticed.
    __hash__ = None  # type: ignore[assignment]

    def _refuse(self, *_: object) -> NoReturn:
        msg = "a Secret cannot be copied or serialised; use reveal() where it is needed"
        raise TypeError(msg)

    __reduce__ = _refuse
    __reduce_ex__ = _refuse
    __getstate__ = _refuse

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
