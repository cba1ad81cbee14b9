"""The daemon: what is put together at start, and taken apart at the end."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from hfproxy import config, paths, wire
from hfproxy.core.audit import Head, Kind
from hfproxy.daemon import hardening, logs, opening, peers, service, watchdog
from hfproxy.daemon.accounts import Accounts
from hfproxy.daemon.control import ControlPlane
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
from hfproxy.daemon.store import Store
from hfproxy.daemon.upstream import MAX_HEADER_BYTES, Upstream
from hfproxy.daemon.visitor import Door, Visitor
from hfproxy.secret import Secret
from hfproxy.vault import open_vault
from hfproxy.vault.kept import Kept

log = structlog.get_logger()
# How long running transfers may go on after SIGTERM.
DRAIN_SECONDS: Final = 10


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
    logs.set_up(log_level)
    state = service.private_directory(Path(paths.state_dir()))
    lock = service.only_one(state)
    try:
        passphrase = None if passphrase_fd is None else opening.from_descriptor(passphrase_fd)
        asyncio.run(_run(settings, state, passphrase))
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

    accounts = Accounts(open_vault(settings.vault.backend, state), before_shut)
    opener = opening.Opener(accounts, settings.vault.key_file, kept)
    await opener.at_start(passphrase)
    journal = Journal(state / "journal", lambda: accounts.journal_key)
    if journal.head != Head():  # until the vault is open again, entries lack the MAC that those before had
        journal.mark(Kind.STARTED)
    store = Store(state)
    upstream = Upstream(settings.upstream)
    try:
        control = service.control_socket(passed.get("control"), runtime / "control.sock", group)
        await _serve(settings, state, data, control, Members(group), accounts, opener, journal, store, upstream)
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
    upstream: Upstream,
) -> None:
    port = data.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    grants, recorder = Grants(journal, store, config.duration(settings.grants.max_ttl)), Recorder(journal)
    await grants.restore()
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
        Mint(settings, endpoint, upstream.origin.url, accounts, grants, projects),
        journal,
        upstream,
        lockdown,
        Rotation(accounts, journal, recalls, upstream),
        projects,
    )
    standing = Standing(upstream, accounts, journal)
    plane = DataPlane(port, state, upstream, accounts, grants, recorder, standing, settings.rules)
    requests, door = web.Server(plane.serve, handler_cancellation=True), Door(members)

    def visitor() -> Visitor:
        return Visitor(
            requests,
            door,
            auto_decompress=False,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(grants.sweep()), tasks.create_task(_every_minute(recorder))]
        background.append(tasks.create_task(watchdog.feed(lambda: grants.swept_at)))
        background.append(tasks.create_task(lockdown.resend()))
        data_server = await asyncio.get_running_loop().create_server(visitor, sock=data, backlog=service.BACKLOG)
        control_server = await asyncio.start_unix_server(
            commands.serve, sock=control, limit=wire.MAX_LINE, backlog=service.BACKLOG
        )
        log.info("ready", endpoint=endpoint, hub=upstream.origin.url, vault=accounts.vault.name, group=members.group)
        service.notify("READY=1")
        await _stop_signal()
        service.notify("STOPPING=1")
        log.info("stopping")
        # Nobody new. The servers are closed only then: what was accepted needs an open one to become a connection.
        for listener in (data, control):
            asyncio.get_running_loop().remove_reader(listener)
        await door.settle()
        await commands.settle()
        control_server.close()
        data_server.close()
        requests.pre_shutdown()  # or every idle connection would be waited for
        await requests.shutdown(DRAIN_SECONDS)
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
