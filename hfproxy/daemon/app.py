"""What the daemon serves with: both planes, and what goes on beside them.

To import this takes longer than anything else at the start, which is why it is a room of its own (`daemon.main`).
"""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Final

import structlog

from hfproxy import config, wire
from hfproxy.core.policy import admission
from hfproxy.daemon.accounts import opener
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.control.minting import GrantIssuer
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.control.server import ControlServer
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.grants.store import GrantStore, StoredState
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.listen.container_listener import ContainerListener
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.listener import HttpListener
from hfproxy.daemon.proxy.handler import ProxyHandler
from hfproxy.daemon.proxy.recorder import MINUTE, RequestRecorder
from hfproxy.daemon.runtime import sockets, systemd
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.tokens.revocation import PendingRevocations
from hfproxy.daemon.tokens.rotation import TokenRotation
from hfproxy.daemon.upstream.client import UpstreamClient

log = structlog.get_logger()
# How long running transfers may go on after SIGTERM.
DRAIN_SECONDS: Final = 10


async def run(
    settings: config.Config,
    state: Path,
    data: socket.socket,
    control: socket.socket,
    members: AllowedUsers,
    accounts: AccountRegistry,
    opener: opener.VaultOpener,
    journal: JournalWriter,
    store: GrantStore,
    loading: asyncio.Future[StoredState],
) -> None:
    """Serve until SIGTERM or SIGINT; what is under way then is brought to its end. `loading`: what the store held.

    Raises:
        HFProxyError: it cannot be begun with.
    """
    upstream = UpstreamClient(settings.upstream)
    try:
        local, containers = admission.loopback(data.getsockname()[1]), settings.listen.bridge_host_port
        bridged = None if containers is None else admission.bridge(*containers)
        endpoint = local.endpoint
        grants, recorder = (
            GrantRegistry(journal, store, config.duration(settings.grants.max_ttl)),
            RequestRecorder(journal),
        )
        await grants.restore(await loading)
        recalls = PendingRevocations(state, upstream)
        lockdown = Lockdown(state, accounts, grants, journal, recalls)
        await lockdown.resume()
        projects = ProjectTrust(state, accounts, journal)
        commands = ControlServer(
            members,
            endpoint,
            accounts,
            opener,
            grants,
            GrantIssuer(
                settings,
                endpoint,
                upstream.origin.url,
                accounts,
                grants,
                projects,
                None if bridged is None else bridged.endpoint,
            ),
            journal,
            upstream,
            lockdown,
            TokenRotation(accounts, journal, recalls, upstream),
            projects,
            recorder.counts,
        )
        standing = TokenHealth(upstream, accounts, journal)

        def make_handler(listener: admission.Listener) -> ProxyHandler:
            return ProxyHandler(listener, state, upstream, accounts, grants, recorder, standing, settings.rules)

        def make_container_listener(opened: socket.socket) -> HttpListener:
            return HttpListener(
                opened,
                ConnectionLimiter(members, container=True),
                make_handler(admission.bridge(*opened.getsockname())).handle,
            )

        bridge = None if containers is None else ContainerListener(*containers, make_container_listener)
        entrances: list[HttpListener | ContainerListener] = [
            HttpListener(data, ConnectionLimiter(members), make_handler(local).handle),
            *([bridge] if bridge else []),
        ]
        for entrance in entrances:
            await entrance.start()
        jobs = [
            grants.sweep(),
            _every_minute(recorder),
            systemd.feed(lambda: grants.last_sweep_at),
            lockdown.retry_revocations_at_start(),
        ]
        jobs += [bridge.watch_interface()] if bridge else []
        log.info("ready", endpoint=endpoint, hub=upstream.origin.url, vault=accounts.vault.name, group=members.group)
        await _until_stopped(control, commands, entrances, jobs)
        recorder.flush_counts()
        await grants.close()
    finally:
        await upstream.close()


async def _until_stopped(
    control: socket.socket,
    commands: ControlServer,
    entrances: list[HttpListener | ContainerListener],
    jobs: Iterable[Coroutine[None, None, None]],
) -> None:
    """Answer both planes, and do what goes on `beside` them; at the end let all that was asked be answered."""
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(one) for one in jobs]
        control_server = await asyncio.start_unix_server(
            commands.serve, sock=control, limit=wire.MAX_LINE, backlog=sockets.BACKLOG
        )
        systemd.sd_notify("READY=1")
        await _stop_signal()
        systemd.sd_notify("STOPPING=1")
        log.info("stopping")
        control_server.close()  # nobody new; who was let in stays
        for entrance in entrances:
            entrance.stop_accepting()
        await asyncio.gather(*(entrance.serve_accepted() for entrance in entrances))
        await commands.drain()
        await asyncio.gather(*(entrance.drain(DRAIN_SECONDS) for entrance in entrances))
        for task in background:
            task.cancel()


async def _every_minute(recorder: RequestRecorder) -> None:
    while True:
        await asyncio.sleep(MINUTE)
        recorder.flush_counts()


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
