"""How the Hub says no: one exception, one place that turns it into a response.

`X-Error-Code` and `X-Error-Message` are what `huggingface_hub.utils.hf_raise_for_status` reads first; a HEAD
has no body, so the message must be in the header too.
"""

import json

from aiohttp import web

BASIC = 'Basic realm="Authentication required"'


class Refusal(Exception):
    """A request the Hub answers with an error."""

    def __init__(self, status: int, message: str, code: str | None = None, **extra: object) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = extra

    def response(self) -> web.Response:
        """Return what goes on the wire."""
        # A header holds one line of ASCII, and a message may quote what the caller sent.
        headers = {"X-Error-Message": " ".join(self.message.encode("ascii", "replace").decode().split())}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        body = json.dumps({"error": self.message, **self.extra})
        return web.Response(status=self.status, text=body, headers=headers, content_type="application/json")


class GitRefusal(Refusal):
    """A refusal for git and git-lfs: plain text, which git shows, and on 401 what makes it ask for a credential."""

    def response(self) -> web.Response:
        """Return what goes on the wire."""
        response = super().response()
        response.text, response.content_type = self.message, "text/plain"
        if self.status == 401:
            response.headers.update({"WWW-Authenticate": BASIC, "LFS-Authenticate": BASIC})
        return response


class Moved(Exception):
    """The repository has another name now: 307 to the same request there."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(new)
        self.old = old
        self.new = new


def invalid_credentials() -> Refusal:
    """Return the refusal of a token nobody knows. The client tests for this very sentence."""
    return Refusal(401, "Invalid credentials in Authorization header")


def repo_not_found(anonymous: bool) -> Refusal:
    """Return the refusal of a repository that is absent, or that the caller must not know of."""
    return Refusal(401 if anonymous else 404, "Repository not found", "RepoNotFound")


def gated(repo_id: str, anonymous: bool) -> Refusal:
    """Return the refusal of a gated repository's content."""
    if anonymous:
        return Refusal(401, f"Access to {repo_id} is restricted. You must be authenticated to access it.", "GatedRepo")
    return Refusal(403, f"Access to {repo_id} is restricted and you are not in the authorized list.", "GatedRepo")


def revision_not_found(rev: str) -> Refusal:
    """Return the refusal of a branch, tag or commit that does not exist."""
    return Refusal(404, f"Invalid rev id: {rev}".encode("ascii", "replace").decode(), "RevisionNotFound")


def entry_not_found() -> Refusal:
    """Return the refusal of a path that is not in the tree."""
    return Refusal(404, "Entry not found", "EntryNotFound")
