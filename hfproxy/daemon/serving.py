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
from hfproxy.core import admission
from hfproxy.daemon import opening, service, watchdog
from hfproxy.daemon.accounts import Accounts
from hfproxy.daemon.bridge import Bridge
from hfproxy.daemon.control import ControlPlane
from hfproxy.daemon.entrance import Entrance
from hfproxy.daemon.grants import Grants
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.lockdown import Lockdown
from hfproxy.daemon.members import Members
from hfproxy.daemon.minting import Mint
from hfproxy.daemon.projects import Projects
from hfproxy.daemon.proxy import DataPlane
from hfproxy.daemon.recall import Recalls
from hfproxy.daemon.record import MINUTE, Recorder
from hfproxy.daemon.rotation import Rotation
from hfproxy.daemon.standing import Standing
from hfproxy.daemon.store import Found, Store
from hfproxy.daemon.upstream import Upstream
from hfproxy.daemon.visitor import Door

log = structlog.get_logger()
# How long running transfers may go on after SIGTERM.
DRAIN_SECONDS: Final = 10


async def serve(
    settings: config.Config,
    state: Path,
    data: socket.socket,
    control: socket.socket,
    members: Members,
    accounts: Accounts,
    opener: opening.Opener,
    journal: Journal,
    store: Store,
    loading: asyncio.Future[Found],
) -> None:
    """Serve until SIGTERM or SIGINT; what is under way then is brought to its end. `loading`: what the store held.

    Raises:
        HFProxyError: it cannot be begun with.
    """
    upstream = Upstream(settings.upstream)
    try:
        local, containers = admission.loopback(data.getsockname()[1]), settings.listen.bridge_host_port
        bridged = None if containers is None else admission.bridge(*containers)
        endpoint = local.endpoint
        grants, recorder = Grants(journal, store, config.duration(settings.grants.max_ttl)), Recorder(journal)
        await grants.restore(await loading)
        recalls = Recalls(state, upstream)
        lockdown = Lockdown(state, accounts, grants, journal, recalls)
        await lockdown.resume()
        projects = Projects(state, accounts, journal)
        commands = ControlPlane(
            members,
            endpoint,
            accounts,
            opener,
            grants,
            Mint(
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
            Rotation(accounts, journal, recalls, upstream),
            projects,
            recorder.counts,
        )
        standing = Standing(upstream, accounts, journal)

        def plane(listener: admission.Listener) -> DataPlane:
            return DataPlane(listener, state, upstream, accounts, grants, recorder, standing, settings.rules)

        def for_containers(opened: socket.socket) -> Entrance:
            return Entrance(opened, Door(members, container=True), plane(admission.bridge(*opened.getsockname())))

        bridge = None if containers is None else Bridge(*containers, for_containers)
        entrances: list[Entrance | Bridge] = [
            Entrance(data, Door(members), plane(local)),
            *([bridge] if bridge else []),
        ]
        for entrance in entrances:
            await entrance.open()
        beside = [grants.sweep(), _every_minute(recorder), watchdog.feed(lambda: grants.swept_at), lockdown.resend()]
        beside += [bridge.keep()] if bridge else []
        log.info("ready", endpoint=endpoint, hub=upstream.origin.url, vault=accounts.vault.name, group=members.group)
        await _until_stopped(control, commands, entrances, beside)
        recorder.write_unknown()
        await grants.close()
    finally:
        await upstream.close()


async def _until_stopped(
    control: socket.socket,
    commands: ControlPlane,
    entrances: list[Entrance | Bridge],
    beside: Iterable[Coroutine[None, None, None]],
) -> None:
    """Answer both planes, and do what goes on `beside` them; at the end let all that was asked be answered."""
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(one) for one in beside]
        control_server = await asyncio.start_unix_server(
            commands.serve, sock=control, limit=wire.MAX_LINE, backlog=service.BACKLOG
        )
        service.notify("READY=1")
        await _stop_signal()
        service.notify("STOPPING=1")
        log.info("stopping")
        control_server.close()  # nobody new; who was let in stays
        for entrance in entrances:
            entrance.refuse_new()
        await asyncio.gather(*(entrance.settle() for entrance in entrances))
        await commands.settle()
        await asyncio.gather(*(entrance.close(DRAIN_SECONDS) for entrance in entrances))
        for task in background:
            task.cancel()


async def _every_minute(recorder: Recorder) -> None:
    while True:
        await asyncio.sleep(MINUTE)
        recorder.write_unknown()


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
