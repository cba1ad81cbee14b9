"""The composition root: builds the parts of the daemon, serves both planes, and drains them at the end.

Importing this module takes longer than any other step of a start, so `daemon.main` imports it in a thread while the
vault is opened and the grants are loaded.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from hfproxy import config, wire
from hfproxy.core.policy import admission
from hfproxy.daemon.accounts.opener import VaultOpener
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control.account_commands import AccountCommands
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.control.grant_commands import GrantCommands
from hfproxy.daemon.control.journal_commands import JournalCommands
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.control.minting import Endpoints, GrantIssuer
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.control.server import ControlServer
from hfproxy.daemon.control.status import StatusReport
from hfproxy.daemon.control.vault_commands import VaultCommands
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.grants.store import GrantStore, StoredState
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.listen.container_listener import ContainerListener
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.listener import HttpListener
from hfproxy.daemon.proxy.handler import ProxyHandler
from hfproxy.daemon.proxy.recorder import MINUTE_S, RequestRecorder
from hfproxy.daemon.runtime import sockets, systemd
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.tokens.importing import TokenImporter
from hfproxy.daemon.tokens.revocation import PendingRevocations
from hfproxy.daemon.tokens.rotation import TokenRotation
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi

log = structlog.get_logger()
# How long transfers under way may go on after SIGTERM.
DRAIN_SECONDS: Final = 10

Listener = HttpListener | ContainerListener


@dataclass(frozen=True, slots=True)
class Resources:
    """What `daemon.main` has opened, and closes again."""

    settings: config.Config
    state_dir: Path
    data_socket: socket.socket
    control_socket: socket.socket
    users: AllowedUsers
    accounts: AccountRegistry
    opener: VaultOpener
    journal: JournalWriter
    store: GrantStore


@dataclass(frozen=True, slots=True)
class Parts:
    """The long-lived parts that both planes share."""

    endpoints: Endpoints
    client: UpstreamClient
    hub: HubApi
    grants: GrantRegistry
    recorder: RequestRecorder
    revocations: PendingRevocations
    lockdown: Lockdown


async def run(resources: Resources, stored_state: Awaitable[StoredState]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        resources: what is open already.
        stored_state: the grants that an earlier daemon left, as the store loads them.

    Raises:
        HFProxyError: the daemon cannot start with this config or state.
    """
    client = UpstreamClient(resources.settings.upstream)
    try:
        grants = await _restore_grants(resources, stored_state)
        parts = _build_parts(resources, client, grants)
        await parts.lockdown.resume()
        control = _build_control(resources, parts)
        listeners = _build_listeners(resources, parts)
        for listener in listeners:
            await listener.start()
        _log_ready(resources, parts)
        await _serve(resources.control_socket, control, listeners, _background_jobs(parts, listeners))
        parts.recorder.flush_counts()
        await grants.close()
    finally:
        await client.close()


# --- building ---------------------------------------------------------------------------------------------------------


async def _restore_grants(resources: Resources, stored_state: Awaitable[StoredState]) -> GrantRegistry:
    max_ttl_s = config.parse_duration(resources.settings.grants.max_ttl)
    grants = GrantRegistry(resources.journal, resources.store, max_ttl_s)
    await grants.restore(await stored_state)
    return grants


def _build_parts(resources: Resources, client: UpstreamClient, grants: GrantRegistry) -> Parts:
    hub = HubApi(client)
    revocations = PendingRevocations(resources.state_dir, hub)
    lockdown = Lockdown(resources.state_dir, resources.accounts, grants, resources.journal, revocations)
    return Parts(
        endpoints=_endpoints(resources, client),
        client=client,
        hub=hub,
        grants=grants,
        recorder=RequestRecorder(resources.journal),
        revocations=revocations,
        lockdown=lockdown,
    )


def _endpoints(resources: Resources, client: UpstreamClient) -> Endpoints:
    container = resources.settings.listen.bridge_host_port
    return Endpoints(
        local=_loopback(resources).endpoint,
        hub=client.origin.url,
        container=None if container is None else admission.bridge(*container).endpoint,
    )


def _loopback(resources: Resources) -> admission.Listener:
    return admission.loopback(resources.data_socket.getsockname()[1])


def _build_control(resources: Resources, parts: Parts) -> ControlServer:
    accounts, journal, grants, hub = resources.accounts, resources.journal, parts.grants, parts.hub
    projects = ProjectTrust(resources.state_dir, accounts, journal)
    issuer = GrantIssuer(resources.settings, parts.endpoints, accounts, grants, projects)
    importer = TokenImporter(accounts, journal, hub)
    rotation = TokenRotation(accounts, journal, parts.revocations, hub)
    dedicated = resources.users.group is not None
    status = StatusReport(issuer, accounts, grants, journal, parts.lockdown, parts.recorder.counts, dedicated)
    commands = CommandTable(
        status,
        AccountCommands(accounts, grants, journal, hub, importer, rotation),
        VaultCommands(accounts, resources.opener, grants, journal, parts.lockdown),
        GrantCommands(grants, issuer, projects),
        JournalCommands(journal),
    )
    return ControlServer(resources.users, grants, status, commands)


def _build_listeners(resources: Resources, parts: Parts) -> list[Listener]:
    """Build the listener on the loopback interface, and the one for containers if the config has `listen.bridge`."""
    health = TokenHealth(parts.hub, resources.accounts, resources.journal)

    def make_listener(opened: socket.socket, address: admission.Listener, *, container: bool) -> HttpListener:
        handler = ProxyHandler(
            address,
            resources.state_dir,
            parts.client,
            resources.accounts.cache,
            parts.grants,
            parts.recorder,
            health,
            resources.settings.account_by_namespace,
        )
        return HttpListener(opened, ConnectionLimiter(resources.users, container=container), handler.handle)

    def make_container_listener(opened: socket.socket) -> HttpListener:
        return make_listener(opened, admission.bridge(*opened.getsockname()), container=True)

    local = make_listener(resources.data_socket, _loopback(resources), container=False)
    address = resources.settings.listen.bridge_host_port
    return [local] if address is None else [local, ContainerListener(*address, make_container_listener)]


def _background_jobs(parts: Parts, listeners: list[Listener]) -> list[Coroutine[None, None, None]]:
    return [
        parts.grants.sweep(),
        _flush_counts_every_minute(parts.recorder),
        systemd.feed_watchdog(lambda: parts.grants.last_sweep_at),
        parts.lockdown.retry_revocations_at_start(),
        *(listener.watch_interface() for listener in listeners if isinstance(listener, ContainerListener)),
    ]


# --- serving ----------------------------------------------------------------------------------------------------------


def _log_ready(resources: Resources, parts: Parts) -> None:
    log.info(
        "ready",
        endpoint=parts.endpoints.local,
        hub=parts.endpoints.hub,
        vault=resources.accounts.vault.name,
        group=resources.users.group,
    )


async def _serve(
    control_socket: socket.socket,
    control: ControlServer,
    listeners: list[Listener],
    jobs: list[Coroutine[None, None, None]],
) -> None:
    """Answer both planes and run the background jobs until a signal, then answer what was accepted before."""
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(job) for job in jobs]
        control_listener = await asyncio.start_unix_server(
            control.serve, sock=control_socket, limit=wire.MAX_LINE, backlog=sockets.BACKLOG
        )
        systemd.sd_notify("READY=1")
        await _stop_signal()
        systemd.sd_notify("STOPPING=1")
        log.info("stopping")
        control_listener.close()  # accepts no more; open connections stay
        for listener in listeners:
            listener.stop_accepting()
        await asyncio.gather(*(listener.serve_accepted() for listener in listeners))
        await control.drain()
        await asyncio.gather(*(listener.drain(DRAIN_SECONDS) for listener in listeners))
        for task in background:
            task.cancel()


async def _flush_counts_every_minute(recorder: RequestRecorder) -> None:
    while True:
        await asyncio.sleep(MINUTE_S)
        recorder.flush_counts()


async def _stop_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
