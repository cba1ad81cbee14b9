"""Minting: from what was asked on the command line to a grant, under the config's limits."""

import os
from collections.abc import Iterator
from typing import Final

from hfproxy import wire
from hfproxy.config import Config, duration, size
from hfproxy.core.policy import scope
from hfproxy.core.policy.access import Action
from hfproxy.core.policy.caveats import Caveat, Ceiling, InTree, MaxBytes, MaxRate, MaxUses
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms
from hfproxy.core.policy.scope import Scope
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import messages
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.runtime import procfs
from hfproxy.errors import RefusedError, UsageError

# No upstream of this version serves these actions, so a scope for them could not be honoured.
UNSUPPORTED_ACTIONS: Final = frozenset({Action.INFER, Action.ENDPOINTS})
MAX_SCOPES: Final = 200
# Longer than any path component, so that a journal line stays well below `wire.MAX_LINE`.
MAX_SCOPE: Final = 500
MAX_TEXT: Final = 300


class GrantIssuer:
    """Serves `mint` of the control plane, which `exec`, `mint` and `env` all are."""

    def __init__(
        self,
        config: Config,
        endpoint: str,
        hub: str,
        accounts: AccountRegistry,
        grants: GrantRegistry,
        projects: ProjectTrust,
        bridge: str | None = None,
    ) -> None:
        """`bridge`: the endpoint for containers, if there is one."""
        self._config, self._endpoint, self._hub, self.bridge = config, endpoint, hub, bridge
        self._accounts, self._grants, self._projects = accounts, grants, projects

    async def issue(self, asked: messages.MintRequest, pid: int, uid: int, holder: Grant | None = None) -> wire.Message:
        """Mint for the process at the other end of the socket, and the user whose it is; below `holder`, if that
        process is inside of a grant.

        Raises:
            UsageError: what was asked cannot mean anything.
            RefusedError: it is not to be had.
        """
        scopes = _parse_scopes(await self._requested_scopes(asked, uid))
        ttl = self.ttl(asked.ttl)
        bound = _bound_pid(asked, pid, uid)
        container = self._container(asked, holder)
        account = await self._accounts.select(uid, _account(asked, holder))
        order = GrantTerms(
            account=account.name,
            scopes=scopes,
            ttl=ttl,
            strict=asked.strict,
            caveats=self._caveats(asked),
            label=asked.label and asked.label[:MAX_TEXT],
            bind=Bind(asked.bind),
            pid=bound,
            parent=None if holder is None else holder.id,
            ambient=asked.ambient,
            renews=bound is not None and asked.ttl is None,
            login=account.login,
            named=asked.account is not None or (holder is not None and holder.terms.named),
            learns=asked.learn or (holder is not None and holder.terms.learns),
            container=container,
            program=asked.program and asked.program[:MAX_TEXT],
            uid=uid,
        )
        grant, credential = await self._grants.mint(order)
        return {
            "id": grant.id,
            "credential": credential,
            "endpoint": self.bridge if container else self._endpoint,
            "hub": self._hub,
            "expires_at": grant.expires_at,
            "scopes": [str(one) for one in scopes],
            "container": container,
            "replace": await self._tokens_among(asked.found, uid),
        }

    async def _requested_scopes(self, asked: messages.MintRequest, uid: int) -> tuple[str, ...]:
        """The scopes that were typed and those of the profile; else those of the project; else the default ones.
        To learn what is needed: all there are."""
        if asked.learn:
            return tuple(action.value for action in Action if action not in UNSUPPORTED_ACTIONS)
        texts = (*asked.scopes, *(self._config.profile(asked.profile) if asked.profile else ()))
        if not texts and asked.project is not None:
            return await self._projects.trusted_scopes(asked.project, uid)
        return texts or self._config.profile("default")

    def _container(self, asked: messages.MintRequest, holder: Grant | None) -> bool:
        """Whether it is for containers. What is narrowed stays what it was: neither kind is the narrower one."""
        container = asked.container if holder is None else holder.terms.container
        if asked.container and not container and holder is not None:
            raise RefusedError(
                f"inside of grant {holder.id} there is no credential for containers; run it outside of"
                f" {holder.terms.program or 'that command'}: hf-proxy exec --container -- CMD"
            )
        if container and asked.bind == "tree":
            raise UsageError("a container's processes are in no tree of this machine; use --container with --bind pid")
        if container and self.bridge is None:
            raise RefusedError(
                "there is no address for containers; set listen.bridge in config.toml, like 172.17.0.1:4881, and start"
                " the daemon again: hf-proxy daemon"
            )
        return container

    @property
    def profiles(self) -> list[str]:
        """The names of the config's profiles."""
        return sorted({"default", *self._config.profiles})

    @property
    def max_ttl_s(self) -> int:
        """Seconds that a grant may live at most, renewals included."""
        return duration(self._config.grants.max_ttl)

    def ttl(self, text: str | None) -> int:
        """Seconds of a lifetime that was typed; the config's where none was.

        Raises:
            UsageError: it is no duration.
            RefusedError: it is longer than any may be.
        """
        ttl = duration(text or self._config.grants.default_ttl)
        if ttl > self.max_ttl_s:
            longest = self._config.grants.max_ttl
            raise RefusedError(f"--ttl {text} is longer than {longest}; raise max_ttl under [grants] in config.toml")
        return ttl

    def _caveats(self, asked: messages.MintRequest) -> tuple[Caveat, ...]:
        ceiling = self._config.grants.ceiling_scopes
        caveats = (Ceiling(ceiling, asked.strict),) if ceiling else ()
        return (*caveats, *([InTree()] if asked.bind == "tree" else []), *_limits(asked))

    async def _tokens_among(self, found: tuple[str, ...], uid: int) -> list[str]:
        """Which of the strings in the caller's environment are tokens of the caller's in this vault."""
        tokens = {held.token.reveal() for held in (await self._accounts.load(uid)).values()}
        return [text for text in found if text in tokens]


def _parse_scopes(texts: tuple[str, ...]) -> tuple[Scope, ...]:
    scopes = tuple(dict.fromkeys(map(scope.parse, texts)))
    if len(scopes) > MAX_SCOPES:
        raise UsageError(f"at most {MAX_SCOPES} scopes for one credential; use a wider one, like read:me/*")
    for one in scopes:
        if len(str(one)) > MAX_SCOPE:
            raise UsageError(f"a scope is at most {MAX_SCOPE} characters long; use a wider one, like read:me/*")
        if one.action in UNSUPPORTED_ACTIONS:
            raise RefusedError(f"'{one}' cannot be granted yet: this hf-proxy has no way to that service")
    return scopes


def _limits(asked: messages.MintRequest) -> Iterator[Caveat]:
    for option, number in (("--max-uses", asked.max_uses), ("--max-rate", asked.max_rate)):
        if number is not None and number < 1:
            raise UsageError(f"{option} must be 1 or more")
    if asked.max_uses is not None:
        yield MaxUses(asked.max_uses)
    if asked.max_rate is not None:
        yield MaxRate(asked.max_rate)
    if asked.max_up is not None or asked.max_down is not None:
        yield MaxBytes(*(None if text is None else size(text) for text in (asked.max_up, asked.max_down)))


def _bound_pid(asked: messages.MintRequest, pid: int, uid: int) -> int | None:
    """The process whose end ends the grant."""
    if asked.ambient and asked.bind != "tree":
        raise UsageError("--ambient needs --bind tree")
    if asked.bind == "tree" and uid != os.getuid():
        raise RefusedError(
            "--bind tree cannot work here: the daemon is another user's and may not look into your processes; use"
            " --bind pid"
        )
    if asked.bind == "none" or asked.of == "caller":
        return None if asked.bind == "none" else pid
    caller = procfs.find(pid)
    if caller is None:  # unbound it would outlive what it was meant to end with
        raise RefusedError("the process to bind the grant to has ended; run the command again")
    if uid not in {os.getuid(), procfs.real_uid(caller.parent)}:
        raise RefusedError("the process to bind the grant to is not yours; run it from a shell, or with --bind none")
    return caller.parent


def _account(asked: messages.MintRequest, holder: Grant | None) -> str | None:
    """A narrowed grant spends the same token as what it was narrowed from."""
    if holder is None:
        return asked.account
    if asked.account not in {None, holder.terms.account}:
        raise RefusedError(
            f"inside of a grant only its own account '{holder.terms.account}' is to be had; leave --account out"
        )
    return holder.terms.account


def grant_json(grant: Grant) -> dict[str, object]:
    """A grant as `hf-proxy grants --json` shows it; with its owner, if that is not the daemon's own user, and with its
    class, if it is for containers."""
    order = grant.terms
    owner = {} if order.uid == os.getuid() else {"uid": order.uid}
    place = {"container": True} if order.container else {}
    return {
        "id": grant.id,
        "label": order.label,
        "scopes": [str(one) for one in order.scopes],
        "account": order.account,
        "parent": order.parent,
        "bind": order.bind.value,
        "pid": order.pid,
        "program": order.program,
        "minted_at": grant.minted_at,
        "expires_at": grant.expires_at,
        "uses": grant.uses,
        **owner,
        **place,
    }
