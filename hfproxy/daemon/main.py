"""The daemon: what is put together at start, and taken apart at the end."""

import asyncio
import gc
import os
import signal
import socket
from pathlib import Path
from typing import Final

import structlog
import uvloop

from hfproxy import config, paths, wire
from hfproxy.core import admission
from hfproxy.core.audit import Head, Kind
from hfproxy.daemon import hardening, logs, opening, peers, service, watchdog
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
from hfproxy.secret import Secret
from hfproxy.vault import open_vault
from hfproxy.vault.kept import Kept

log = structlog.get_logger()
# How long running transfers may go on after SIGTERM.
DRAIN_SECONDS: Final = 10
# New objects between two searches for cycles; at Python's own 700 these took 6 % of the time under load.
GARBAGE: Final = 50_000


def run(passphrase_fd: int | None, log_level: str) -> int:
    """Run in the foreground until SIGTERM or SIGINT.

    Raises:
        HFProxyError: it cannot start; one line that says why.
    """
    hardening.check_aiohttp()
    peers.check_platform()
    settings = config.load(Path(paths.config_dir()))
    fd = [] if passphrase_fd is None else ["--passphrase-fd", str(passphrase_fd)]
    hardening.restart_isolated(["daemon", *fd, "--log-level", log_level])
    hardening.harden()
    gc.freeze()  # nothing of what was imported is ever garbage
    gc.set_threshold(GARBAGE, 50, 100)
    logs.set_up(log_level)
    state = service.private_directory(Path(paths.state_dir()))
    lock = service.only_one(state)
    try:
        passphrase = None if passphrase_fd is None else opening.from_descriptor(passphrase_fd)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, state, passphrase))
    finally:
        os.close(lock)
    return 0


async def _run(settings: config.Config, state: Path, passphrase: Secret | None) -> None:
    passed = service.passed_sockets()
    runtime, group = service.runtime_directory(Path(paths.runtime_dir()))
    data = service.data_socket(passed.get("data"), settings.listen.host_port, state / "port")
    kept = Kept(state)

    def before_shut() -> None:
        kept.forget()
        journal.mark(Kind.LOCK)

    store = Store(state)
    loading = asyncio.create_task(asyncio.to_thread(store.load))  # while the vault is opened
    accounts = Accounts(open_vault(settings.vault.backend, state), before_shut)
    opener = opening.Opener(accounts, settings.vault.key_file, kept)
    await opener.at_start(passphrase)
    journal = Journal(state / "journal", lambda: accounts.journal_key)
    if journal.head != Head():  # until the vault is open again, entries lack the MAC that those before had
        journal.mark(Kind.STARTED)
    upstream = Upstream(settings.upstream)
    try:
        control = service.control_socket(passed.get("control"), runtime / "control.sock", group)
        await _serve(
            settings, state, data, control, Members(group), accounts, opener, journal, store, loading, upstream
        )
    finally:
        await upstream.close()
        store.close()
        journal.close()
        if "control" not in passed:
            (runtime / "control.sock").unlink(missing_ok=True)


async def _serve(
    settings: config.Config,
    state: Path,
    data: socket.socket,
    control: socket.socket,
    members: Members,
    accounts: Accounts,
    opener: opening.Opener,
    journal: Journal,
    store: Store,
    loading: asyncio.Task[Found],
    upstream: Upstream,
) -> None:
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
    entrances: list[Entrance | Bridge] = [Entrance(data, Door(members), plane(local)), *([bridge] if bridge else [])]
    for entrance in entrances:
        await entrance.open()
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(grants.sweep()), tasks.create_task(_every_minute(recorder))]
        background.append(tasks.create_task(watchdog.feed(lambda: grants.swept_at)))
        background.append(tasks.create_task(lockdown.resend()))
        if bridge is not None:
            background.append(tasks.create_task(bridge.keep()))
        control_server = await asyncio.start_unix_server(
            commands.serve, sock=control, limit=wire.MAX_LINE, backlog=service.BACKLOG
        )
        log.info("ready", endpoint=endpoint, hub=upstream.origin.url, vault=accounts.vault.name, group=members.group)
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
    recorder.write_unknown()
    await grants.close()


async def _every_minute(recorder: Recorder) -> None:
    while True:
        await asyncio.sleep(MINUTE)
        recorder.write_unknown()


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
