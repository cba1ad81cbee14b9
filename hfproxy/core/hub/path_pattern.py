"""The placeholders in the paths of `hfproxy.core.hub.route_table`, and the regular expressions they stand for.

    {T}     models, datasets, spaces or kernels, as in API paths      {S}  spaces only
    {W}     the type in web addresses: `datasets/`, empty for models
    {R}     a repository id of two segments, or a legacy one          {B}  a bucket: `buckets/NAMESPACE/NAME`
    {ns}    a namespace: a user or an organisation                    {buckets}  the word `buckets`
    {rev}   one segment, percent-encoded: a branch, a tag, a commit   {sha}  a commit id
            (or a plain `refs/pr/N`, `refs/convert/X`, as @huggingface/hub sends it; `refs/` alone is no revision)
    {tag}   a tag's name                                              {compare}  two revisions, `A..B`
    {id}    an identifier of the Hub: an id, a slug, a status         {num}  a number
    {path}  the rest of the address, with plain slashes               {coded}  the rest, with slashes plain or as `%2F`
    {git}   `.git` or empty

Ids are parsed strictly: an id that two routers could split differently matches no row.
"""

import re

# Words that follow a repository id (docs/hub-protocol.md#paths); as a second segment they end a one-segment id.
REPO_SUBPATHS = (
    "resolve tree blob raw refs commit commits discussions settings revision preupload paths-info branch tag"
    " super-squash lfs-files treesize compare scan notebook jwt likers like duplicate resource-group leaderboard"
    " safetensors-metadata auth-check user-access-request user-access-report ask-access xet-read-token"
    " xet-write-token secrets variables runtime hardware sleeptime pause restart dev-mode logs events metrics"
    " volumes storage host sql-console parquet batch info edit upload delete new git-upload-pack git-receive-pack"
).split()
# Reserved words of the Hub in the position of a namespace.
NOT_NAMESPACES = (
    "api models datasets spaces kernels buckets oauth settings docs papers collections organizations users join"
    " login logout new search tasks blog pricing chat posts notifications enterprise uploads resolve-cache jobs"
    " scheduled-jobs inference-endpoints semantic-search templates hardware by-subdomain zero-gpu .well-known"
).split()


def _none_of(words: list[str]) -> str:
    # Case-insensitive, since the Hub's router may be.
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
    """The compiled path of a route.

    The expression is compiled at the first address that contains all its literal parts: compiling the whole table took
    longer than the rest of the daemon's start-up.
    """

    __slots__ = ("_expression", "_literals", "_parts", "_prefix")

    def __init__(self, path: str) -> None:
        self._parts = re.split(r"(\{\w+\})", path)
        self._literals = [part for part in self._parts if part and part not in PLACEHOLDERS]
        self._prefix = "" if self._parts[0] in PLACEHOLDERS else self._parts[0]
        self._expression: re.Pattern[str] | None = None

    def fullmatch(self, address: str) -> re.Match[str] | None:
        """Match an address, and return its named parts; None if it does not match."""
        if not address.startswith(self._prefix):
            return None
        if self._expression is None:
            if not all(word in address for word in self._literals):
                return None
            self._expression = re.compile("".join(PLACEHOLDERS.get(part, re.escape(part)) for part in self._parts))
        return self._expression.fullmatch(address)
