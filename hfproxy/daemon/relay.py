"""Passing the Hub's answer on: as it is, but for what names the Hub, and never with the token in it."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import aiohttp

from hfproxy.core import leak, rewrite
from hfproxy.core.access import AllowAnonymous, Decision, Deny, Refusal
from hfproxy.core.headers import Headers, replaced
from hfproxy.core.rewrite import Places
from hfproxy.core.table import Answer
from hfproxy.daemon import passing, refusals
from hfproxy.daemon.accounts import Held
from hfproxy.daemon.exchange import Exchange, Head, Request, Response
from hfproxy.daemon.meter import Meter, OverLimitError
from hfproxy.daemon.plain import PlainResponse
from hfproxy.daemon.refusals import UNAUTHORIZED
from hfproxy.daemon.reply import Reply
from hfproxy.errors import UpstreamError

# Bodies up to here are looked into; larger ones and file content pass as they are (threats T13).
LOOKED_INTO: Final = 1024 * 1024
XET_INFO: Final = "application/vnd.xet-fileinfo+json"
TEXTUAL: Final = ("application/json", "text/", "application/vnd.git-lfs+json", XET_INFO)
# Codes after which "your credential does not cover this" may be the reason of an anonymous no.
HIDDEN_CODES: Final = frozenset({"RepoNotFound", "GatedRepo"})
# The Hub's words for a token that it does not know any more (hub-wire §6).
DEAD: Final = "Invalid credentials in Authorization header"
NO_BODY: Final = frozenset({204, 304})


@dataclass(slots=True)
class Relay:
    """The answer to one exchange on its way. `held`: whose token must not be in it; `more`: headers to add."""

    exchange: Exchange
    places: Places
    decision: Decision
    held: Held | None
    meter: Meter
    more: Headers = ()
    answer: Answer = field(init=False)
    accept: str = field(init=False)
    status: int = 0

    def __post_init__(self) -> None:
        self.answer, self.accept = self.exchange.answer, self.exchange.request.fields.accept

    @property
    def wants_plain(self) -> bool:
        """Whether the body will be rewritten, so that the Hub must not compress it."""
        return self.answer is Answer.LFS or XET_INFO in self.accept

    async def pass_on(self, request: Request, upstream: Reply) -> Response | Deny:
        """Send the answer to the client.

        Raises:
            UpstreamError: the token is in it, or the Hub broke off before anything was sent.
            OverLimitError: the grant's limit was reached in the middle of it; the connection is cut.
        """
        self.status = upstream.status
        names_hub = not rewrite.NAMING_HUB.isdisjoint(upstream.fields)
        down = rewrite.headers(upstream.down, self.places) if names_hub else upstream.down
        head = Head(self.status, down + self.more)
        self._check(head.sent)
        if self.status == UNAUTHORIZED and self.answer in {Answer.GIT, Answer.LFS}:
            return self._unauthorized()
        if request.method == "HEAD" or self.status in NO_BODY:
            return await request.answer(self._explained(head, upstream), upstream.whole or b"")
        if not self._is_looked_into(upstream):
            self.meter.check_room(upstream.content_length)
            return await self._stream(request, upstream, self._explained(head, upstream), upstream.whole or b"")
        if upstream.whole is not None:
            return await self._whole(request, upstream, head, upstream.whole)
        self.meter.check_room(upstream.content_length)
        body, is_all = await _first(upstream)
        if not is_all:
            return await self._stream(request, upstream, head, body)
        return await self._whole(request, upstream, head, body)

    def _unauthorized(self) -> Deny:
        """git would ask a person for a password, git-lfs ask the Hub again, so they get a no that is final."""
        anonymous = isinstance(self.decision, AllowAnonymous)
        return Deny(Refusal.SCOPE if anonymous else Refusal.ACCOUNT, self._why())

    def _why(self) -> str:
        """What the Hub cannot know of its no: it was asked without the token, or the token is no longer good."""
        if isinstance(self.decision, AllowAnonymous):
            return self.decision.why
        name = self.held.account.name if self.held is not None else ""
        return f"the Hub no longer accepts the token of account '{name}'; run: hf-proxy login"

    def _is_looked_into(self, upstream: Reply) -> bool:
        """API answers and errors that are text. Events are passed on as they come."""
        is_file = self.answer is Answer.FILE and upstream.status < 300 and XET_INFO not in self.accept
        if self.answer is Answer.EVENTS and upstream.status < 300:
            return False
        return not is_file and _is_text(upstream.fields.get("content-type", ""))

    def _check(self, data: bytes) -> None:
        if self.held is not None and leak.found(self.held.needles, data):
            raise UpstreamError(
                "the Hub's answer held the account's token, so it was not passed on; see: hf-proxy audit"
            )

    async def _whole(self, request: Request, upstream: Reply, head: Head, body: bytes) -> Response:
        """A short body that was read: looked into, rewritten where it must be, sent with its length."""
        encoding = upstream.fields.get("content-encoding", "")
        plain = leak.plain(body, encoding, 16 * LOOKED_INTO) if encoding else body
        changed = body if plain is None else self._rewritten(plain, upstream)
        self._check(changed)  # an LFS batch may hold the token where the credential was put in its place
        head = self._explained(head, upstream)
        if plain is not None and changed != plain:
            body = changed
            head = Head(head.status, tuple(pair for pair in head.pairs if pair[0].lower() != "content-encoding"))
        self.meter.pass_down(len(body))
        if upstream.fields.get("content-length") != str(len(body)):
            head = Head(head.status, replaced(head.pairs, "Content-Length", str(len(body))))
        return await request.answer(head, body)

    def _rewritten(self, body: bytes, upstream: Reply) -> bytes:
        if (sentence := self._sentence(upstream)) is not None:
            return refusals.amended(body, sentence)
        if self.answer is Answer.LFS:
            return rewrite.lfs_batch(body, self.places, self.exchange.credential)
        return rewrite.xet_fileinfo(body, self.places) if XET_INFO in self.accept else body

    def _explained(self, head: Head, upstream: Reply) -> Head:
        """Say why, where the Hub's own words cannot."""
        sentence = self._sentence(upstream)
        if sentence is None:
            return head
        said = next((value for name, value in head.pairs if name.lower() == "x-error-message"), "")  # looked into
        objections = self.decision.objections if isinstance(self.decision, AllowAnonymous) else ()
        warned = (*head.pairs, ("X-HF-Warning", refusals.warning(objections, sentence)))
        return Head(head.status, replaced(warned, "X-Error-Message", f"{said} ({sentence})".strip()))

    def _sentence(self, upstream: Reply) -> str | None:
        """What to add to an answer, if anything."""
        if self.status < 400:
            return None
        if isinstance(self.decision, AllowAnonymous):
            return self._why() if upstream.field("x-error-code") in HIDDEN_CODES and self.decision.why else None
        dead = self.status == UNAUTHORIZED and upstream.field("x-error-message").startswith(DEAD)
        return self._why() if dead and self.held is not None else None

    async def _stream(self, request: Request, upstream: Reply, head: Head, start: bytes) -> Response:
        response = await request.begin(head)
        try:
            if start:
                await self._send(response, start)
            if isinstance(response, PlainResponse):
                await passing.rest(upstream, response, self.meter)
            if upstream.content is not None:
                async for chunk in upstream.content.iter_any():
                    await self._send(response, chunk)
        except (OverLimitError, aiohttp.ClientError) as error:
            if request.transport is not None:
                request.transport.abort()  # half an answer must not look whole
            if isinstance(error, OverLimitError):
                raise
            raise ConnectionResetError from None
        await response.write_eof()
        return response

    async def _send(self, response: Response, chunk: bytes) -> None:
        self.meter.pass_down(len(chunk))
        await response.write(chunk)


@lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith(TEXTUAL) or kind.endswith("+json") or not kind


async def _first(upstream: Reply) -> tuple[bytes, bool]:
    """The body up to the limit, and whether that is all of it."""
    content = upstream.content
    if content is None:
        return b"", True
    parts: list[bytes] = []
    size = 0
    try:
        while size < LOOKED_INTO and not content.at_eof():
            part = await content.readany()
            parts.append(part)
            size += len(part)
    except aiohttp.ClientError:
        raise UpstreamError("the Hub broke off its answer; try again") from None
    return b"".join(parts), content.at_eof()
