"""The grammar of the Hub's addresses: what may stand in each place of a row of `core.table`.

    {T}     models, datasets, spaces or kernels, as the API has it    {S}  spaces only
    {W}     the same as a web address has it: `datasets/`, or nothing for models
    {R}     a repository id of two segments, or a legacy one          {B}  a bucket: `buckets/NAMESPACE/NAME`
    {ns}    a namespace: a user or an organisation                    {buckets}  the word itself
    {rev}   one segment, percent-encoded: a branch, a tag, a commit   {sha}  a commit id
            (or `refs/pr/N`, `refs/convert/X` in plain, as @huggingface/hub has it; `refs/` is never a revision's end)
    {tag}   a tag's name                                              {compare}  two revisions, `A..B`
    {id}    a word of the Hub's: an id, a slug, a status              {num}  a number
    {path}  the rest of the address, slashes plain                    {coded}  the same, slashes perhaps as `%2F`
    {git}   `.git` or nothing

Ids are read strictly: an id that two routers could cut differently fits no row.
"""

import re

# Words that follow a repository id (docs/hub-protocol.md#paths): in second place they end a one-segment id.
REPO_SUBPATHS = (
    "resolve tree blob raw refs commit commits discussions settings revision preupload paths-info branch tag"
    " super-squash lfs-files treesize compare scan notebook jwt likers like duplicate resource-group leaderboard"
    " safetensors-metadata auth-check user-access-request user-access-report ask-access xet-read-token"
    " xet-write-token secrets variables runtime hardware sleeptime pause restart dev-mode logs events metrics"
    " volumes storage host sql-console parquet batch info edit upload delete new git-upload-pack git-receive-pack"
).split()
# Words of the Hub's own that stand where a namespace could.
NOT_NAMESPACES = (
    "api models datasets spaces kernels buckets oauth settings docs papers collections organizations users join"
    " login logout new search tasks blog pricing chat posts notifications enterprise uploads resolve-cache jobs"
    " scheduled-jobs inference-endpoints semantic-search templates hardware by-subdomain zero-gpu .well-known"
).split()


def _none_of(words: list[str]) -> str:
    # Whatever the case: the Hub's router may not care about it, so we must.
    return rf"(?!(?i:{'|'.join(map(re.escape, words))})(?:[/?]|$))"


ID = r"[A-Za-z0-9_](?:(?!\.\.)[A-Za-z0-9._-]){0,95}(?<![.-])(?<!(?i:\.git))"
NAMESPACE = rf"(?P<ns>{_none_of(NOT_NAMESPACES)}{ID})"
PLACEHOLDERS = {
    "{T}": r"(?P<type>models|datasets|spaces|kernels)",
    "{S}": r"(?P<type>spaces)",
    "{W}": r"(?:(?P<type>datasets|spaces|kernels)/)?",
    "{R}": rf"{NAMESPACE}(?:/(?P<name>{_none_of(REPO_SUBPATHS)}{ID}))?",
    "{B}": rf"(?P<type>buckets)/{NAMESPACE}/(?P<name>{_none_of(REPO_SUBPATHS)}{ID})",
    "{buckets}": r"(?P<type>buckets)",
    "{ns}": NAMESPACE,
    "{rev}": r"(?P<rev>refs/(?:pr/[0-9]+|convert/\w+)|(?!refs/)[^/]+)",
    "{sha}": r"(?P<rev>[0-9a-f]{40})",
    "{tag}": r"(?P<tag>[^/]+)",
    "{compare}": r"(?P<rev>[^/]+?)\.{2,3}(?P<other>[^/.][^/]*)",
    "{id}": r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*",
    "{num}": r"[0-9]+",
    "{path}": r"(?P<path>.+)",
    "{coded}": r"(?P<coded>.+)",
    "{git}": r"(?:\.git)?",
}


class PathPattern:
    """A row's path, and the addresses that it fits.

    The expression is made for the first address that has all its words: to make those of the whole table took longer
    than all else that a daemon does before it serves.
    """

    __slots__ = ("_begin", "_expression", "_parts", "_words")

    def __init__(self, path: str) -> None:
        self._parts = re.split(r"(\{\w+\})", path)
        self._words = [part for part in self._parts if part and part not in PLACEHOLDERS]
        self._begin = "" if self._parts[0] in PLACEHOLDERS else self._parts[0]
        self._expression: re.Pattern[str] | None = None

    def fullmatch(self, address: str) -> re.Match[str] | None:
        """The parts of an address by name; None where it does not fit."""
        if not address.startswith(self._begin):
            return None
        if self._expression is None:
            if not all(word in address for word in self._words):
                return None
            self._expression = re.compile("".join(PLACEHOLDERS.get(part, re.escape(part)) for part in self._parts))
        return self._expression.fullmatch(address)
