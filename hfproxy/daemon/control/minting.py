"""Mints grants: turns the options of `exec`, `mint` and `env` into the terms of a grant, within the config's limits."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hfproxy import wire
from hfproxy.config import Config, parse_duration, parse_size
from hfproxy.core.policy.access import Action
from hfproxy.core.policy.caveats import Caveat, Ceiling, InTree, MaxBytes, MaxRate, MaxUses
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms
from hfproxy.core.policy.scope import Scope, parse
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.runtime import procfs
from hfproxy.errors import RefusedError, UsageError

# Actions that no upstream of this version serves.
UNSUPPORTED_ACTIONS: Final = frozenset({Action.INFER, Action.ENDPOINTS})
MAX_SCOPES: Final = 200
# Characters: longer than any repository path, and short enough for a journal line to stay below `wire.MAX_LINE`.
MAX_SCOPE: Final = 500
MAX_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs of the daemon and of its Hub.

    Attributes:
        local: the listener on the loopback interface.
        hub: the Hub's origin.
        container: the listener for containers; None without `listen.bridge`.
    """

    local: str
    hub: str
    container: str | None = None


class GrantIssuer:
    """Answers `mint`, the request behind `exec`, `mint` and `env`."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        accounts: AccountRegistry,
        grants: GrantRegistry,
        projects: ProjectTrust,
    ) -> None:
        self._config, self.endpoints = config, endpoints
        self._accounts, self._grants, self._projects = accounts, grants, projects

    async def issue(self, request: requests.MintRequest, caller: Caller) -> wire.Message:
        """Mint a grant for the caller; from inside a grant, a child of that grant. May wait for a keyring prompt.

        Raises:
            UsageError: an option is malformed, or options contradict one another.
            RefusedError: the config or the enclosing grant does not allow it, or there is no such account.
            VaultError: the vault is locked, absent or damaged.
        """
        parent = caller.enclosing_grant
        scopes = _parse_scopes(await self._requested_scopes(request, caller.uid))
        ttl = self.ttl(request.ttl)
        bound = _bound_pid(request, caller)
        container = self._is_container(request, parent)
        account = await self._accounts.select(caller.uid, _account_name(request, parent))
        terms = GrantTerms(
            account=account.name,
            scopes=scopes,
            ttl=ttl,
            strict=request.strict,
            caveats=self._caveats(request),
            label=request.label and request.label[:MAX_TEXT],
            bind=Bind(request.bind),
            pid=bound,
            parent=None if parent is None else parent.id,
            ambient=request.ambient,
            renews=bound is not None and request.ttl is None,
            login=account.login,
            named=request.account is not None or (parent is not None and parent.terms.named),
            learns=request.learn or (parent is not None and parent.terms.learns),
            container=container,
            program=request.program and request.program[:MAX_TEXT],
            uid=caller.uid,
        )
        grant, credential = await self._grants.mint(terms)
        return {
            "id": grant.id,
            "credential": credential,
            "endpoint": self.endpoints.container if container else self.endpoints.local,
            "hub": self.endpoints.hub,
            "expires_at": grant.expires_at,
            "scopes": [str(scope) for scope in scopes],
            "container": container,
            "replace": await self._tokens_among(request.found, caller.uid),
        }

    async def _requested_scopes(self, request: requests.MintRequest, uid: int) -> tuple[str, ...]:
        """Return the scopes of `--scope` and `--profile`; else the project file's; else those of the profile `default`.

        For `learn`: every action, on every target.
        """
        if request.learn:
            return tuple(action.value for action in Action if action not in UNSUPPORTED_ACTIONS)
        texts = (*request.scopes, *(self._config.profile(request.profile) if request.profile else ()))
        if not texts and request.project is not None:
            return await self._projects.trusted_scopes(request.project, uid)
        return texts or self._config.profile("default")

    def _is_container(self, request: requests.MintRequest, parent: Grant | None) -> bool:
        """Return whether the credential is for containers.

        A child is what its parent is: a credential for containers is neither wider nor narrower than a local one.
        """
        container = request.container if parent is None else parent.terms.container
        if request.container and not container and parent is not None:
            raise RefusedError(
                f"inside of grant {parent.id} there is no credential for containers; run it outside of"
                f" {parent.terms.program or 'that command'}: hf-proxy exec --container -- CMD"
            )
        if container and request.bind == "tree":
            raise UsageError("a container's processes are in no tree of this machine; use --container with --bind pid")
        if container and self.endpoints.container is None:
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
        """The longest life of a grant in seconds, renewals included."""
        return parse_duration(self._config.grants.max_ttl)

    def ttl(self, text: str | None) -> int:
        """Return a lifetime in seconds; None gives the config's `default_ttl`.

        Raises:
            UsageError: the text is not a duration.
            RefusedError: it is longer than the config's `max_ttl`.
        """
        ttl = parse_duration(text or self._config.grants.default_ttl)
        if ttl > self.max_ttl_s:
            longest = self._config.grants.max_ttl
            raise RefusedError(f"--ttl {text} is longer than {longest}; raise max_ttl under [grants] in config.toml")
        return ttl

    def _caveats(self, request: requests.MintRequest) -> tuple[Caveat, ...]:
        ceiling = self._config.grants.ceiling_scopes
        caveats = (Ceiling(ceiling, request.strict),) if ceiling else ()
        return (*caveats, *([InTree()] if request.bind == "tree" else []), *_limits(request))

    async def _tokens_among(self, found: tuple[str, ...], uid: int) -> list[str]:
        """Return those strings of the caller's environment that are the caller's own tokens in the vault."""
        tokens = {account_token.token.reveal() for account_token in (await self._accounts.load(uid)).values()}
        return [text for text in found if text in tokens]


def _parse_scopes(texts: tuple[str, ...]) -> tuple[Scope, ...]:
    scopes = tuple(dict.fromkeys(map(parse, texts)))
    if len(scopes) > MAX_SCOPES:
        raise UsageError(f"at most {MAX_SCOPES} scopes for one credential; use a wider one, like read:me/*")
    for scope in scopes:
        if len(str(scope)) > MAX_SCOPE:
            raise UsageError(f"a scope is at most {MAX_SCOPE} characters long; use a wider one, like read:me/*")
        if scope.action in UNSUPPORTED_ACTIONS:
            raise RefusedError(f"'{scope}' cannot be granted yet: this hf-proxy has no way to that service")
    return scopes


def _limits(request: requests.MintRequest) -> Iterator[Caveat]:
    for option, number in (("--max-uses", request.max_uses), ("--max-rate", request.max_rate)):
        if number is not None and number < 1:
            raise UsageError(f"{option} must be 1 or more")
    if request.max_uses is not None:
        yield MaxUses(request.max_uses)
    if request.max_rate is not None:
        yield MaxRate(request.max_rate)
    if request.max_up is not None or request.max_down is not None:
        yield MaxBytes(*(None if text is None else parse_size(text) for text in (request.max_up, request.max_down)))


def _bound_pid(request: requests.MintRequest, caller: Caller) -> int | None:
    """Return the pid of the process that the grant ends with; None if it is not bound to one."""
    if request.ambient and request.bind != "tree":
        raise UsageError("--ambient needs --bind tree")
    if request.bind == "tree" and caller.uid != os.getuid():
        raise RefusedError(
            "--bind tree cannot work here: the daemon is another user's and may not look into your processes; use"
            " --bind pid"
        )
    if request.bind == "none" or request.of == "caller":
        return None if request.bind == "none" else caller.pid
    process = procfs.find(caller.pid)
    if process is None:  # an unbound grant would outlive the shell that it was meant for
        raise RefusedError("the process to bind the grant to has ended; run the command again")
    if caller.uid not in {os.getuid(), procfs.real_uid(process.parent)}:
        raise RefusedError("the process to bind the grant to is not yours; run it from a shell, or with --bind none")
    return process.parent


def _account_name(request: requests.MintRequest, parent: Grant | None) -> str | None:
    """Return the account that the request names; a child grant uses the account of its parent."""
    if parent is None:
        return request.account
    if request.account not in {None, parent.terms.account}:
        raise RefusedError(
            f"inside of a grant only its own account '{parent.terms.account}' is to be had; leave --account out"
        )
    return parent.terms.account


def grant_json(grant: Grant) -> dict[str, object]:
    """Return a grant in the form of `hf-proxy grants --json`.

    `uid` is there only if the owner is not the daemon's own user, `container` only if the grant is for containers.
    """
    terms = grant.terms
    owner = {} if terms.uid == os.getuid() else {"uid": terms.uid}
    container = {"container": True} if terms.container else {}
    return {
        "id": grant.id,
        "label": terms.label,
        "scopes": [str(scope) for scope in terms.scopes],
        "account": terms.account,
        "parent": terms.parent,
        "bind": terms.bind.value,
        "pid": terms.pid,
        "program": terms.program,
        "minted_at": grant.minted_at,
        "expires_at": grant.expires_at,
        "uses": grant.uses,
        **owner,
        **container,
    }
