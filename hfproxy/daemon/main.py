"""The start of the daemon process: harden it, lock the state directory, open what is needed, run, and close again.

Three steps of a start take long and do not depend on one another: deriving the vault's key, loading the grants, and
importing `daemon.app` with everything that serves requests. They run at the same time, so this module must not import
`daemon.app` at its top.
"""

import asyncio
import gc
import os
from importlib import import_module
from pathlib import Path
from typing import Final

import uvloop

from hfproxy import config, paths
from hfproxy.core.audit.chain import ChainHead, EventKind
from hfproxy.daemon.accounts import opener
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.store import GrantStore
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime import hardening, logs, peer_uid, sockets, state_dir, systemd
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.secret import Secret
from hfproxy.vault import open_vault
from hfproxy.vault.kernel_key_cache import KernelKeyCache

APP: Final = "hfproxy.daemon.app"
# Allocations between two runs of the cycle collector. With Python's default of 700 the collector took 6 % of the time
# under load.
GC_THRESHOLD: Final = 50_000


def run(passphrase_fd: int | None, log_level: str) -> int:
    """Run in the foreground until SIGTERM or SIGINT; return the exit code.

    Args:
        passphrase_fd: an inherited descriptor to read the vault's passphrase from.
        log_level: the name of a level of `logging`, in lower case.

    Raises:
        HFProxyError: the daemon cannot start; one line that says why.
    """
    peer_uid.check_platform()
    settings = config.load(Path(paths.config_dir()))
    descriptor = [] if passphrase_fd is None else ["--passphrase-fd", str(passphrase_fd)]
    hardening.restart_isolated(["daemon", *descriptor, "--log-level", log_level])
    hardening.check_aiohttp()  # before anything is created or opened
    hardening.harden()
    gc.set_threshold(GC_THRESHOLD, 50, 100)
    logs.set_up(log_level)
    state = state_dir.private_directory(Path(paths.state_dir()))
    lock = state_dir.lock_state_dir(state)
    try:
        passphrase = None if passphrase_fd is None else opener.from_descriptor(passphrase_fd)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, state, passphrase))
    finally:
        os.close(lock)
    return 0


async def _run(settings: config.Config, state: Path, passphrase: Secret | None) -> None:
    inherited = systemd.inherited_sockets()
    runtime, group = state_dir.runtime_directory(Path(paths.runtime_dir()))
    data = sockets.data_socket(inherited.get("data"), settings.listen.host_port, state / "port")
    key_cache = KernelKeyCache(state)

    def on_vault_close() -> None:
        key_cache.remove()
        journal.append_best_effort(EventKind.LOCK)

    store = GrantStore(state)
    stored_state = asyncio.create_task(asyncio.to_thread(store.load))
    accounts = AccountRegistry(open_vault(settings.vault.backend, state), on_vault_close)
    vault_opener = opener.VaultOpener(accounts, settings.vault.key_file, key_cache)
    await asyncio.gather(asyncio.to_thread(import_module, APP), vault_opener.open_at_start(passphrase))
    from hfproxy.daemon import app  # noqa: PLC0415  (imported in the line above, in a thread)

    gc.freeze()  # the modules imported so far are never garbage
    journal = JournalWriter(state / "journal", lambda: accounts.cache.journal_key)
    if journal.head != ChainHead():  # tells readers why the next entries have no MAC: the vault may still be closed
        journal.append_best_effort(EventKind.STARTED)
    try:
        control = sockets.control_socket(inherited.get("control"), runtime / "control.sock", group)
        users = AllowedUsers(group)
        resources = app.Resources(settings, state, data, control, users, accounts, vault_opener, journal, store)
        await app.run(resources, stored_state)
    finally:
        store.close()
        journal.close()
        if "control" not in inherited:
            (runtime / "control.sock").unlink(missing_ok=True)
