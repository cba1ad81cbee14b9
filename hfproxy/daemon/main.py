"""The daemon: what is put together at start, and taken apart at the end.

Three things that take long at a start need not wait for one another: deriving the key of the vault, looking through
the grants, and importing what is served with (`daemon.serving`). So nothing here imports that.
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

SERVING: Final = "hfproxy.daemon.app"
# New objects between two searches for cycles; at Python's own 700 these took 6 % of the time under load.
GARBAGE: Final = 50_000


def run(passphrase_fd: int | None, log_level: str) -> int:
    """Run in the foreground until SIGTERM or SIGINT.

    Raises:
        HFProxyError: it cannot start; one line that says why.
    """
    peer_uid.check_platform()
    settings = config.load(Path(paths.config_dir()))
    fd = [] if passphrase_fd is None else ["--passphrase-fd", str(passphrase_fd)]
    hardening.restart_isolated(["daemon", *fd, "--log-level", log_level])
    hardening.check_aiohttp()  # before anything is made or opened
    hardening.harden()
    gc.set_threshold(GARBAGE, 50, 100)
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
    passed = systemd.inherited_sockets()
    runtime, group = state_dir.runtime_directory(Path(paths.runtime_dir()))
    data = sockets.data_socket(passed.get("data"), settings.listen.host_port, state / "port")
    key_cache = KernelKeyCache(state)

    def on_vault_close() -> None:
        key_cache.remove()
        journal.append_best_effort(EventKind.LOCK)

    store = GrantStore(state)
    loading = asyncio.create_task(asyncio.to_thread(store.load))
    accounts = AccountRegistry(open_vault(settings.vault.backend, state), on_vault_close)
    vault_opener = opener.VaultOpener(accounts, settings.vault.key_file, key_cache)
    await asyncio.gather(asyncio.to_thread(import_module, SERVING), vault_opener.open_at_start(passphrase))
    from hfproxy.daemon.app import run  # noqa: PLC0415  (it is imported by now)

    gc.freeze()  # nothing of what was imported is ever garbage
    journal = JournalWriter(state / "journal", lambda: accounts.journal_key)
    if journal.head != ChainHead():  # until the vault is open again, entries lack the MAC that those before had
        journal.append_best_effort(EventKind.STARTED)
    try:
        control = sockets.control_socket(passed.get("control"), runtime / "control.sock", group)
        await run(settings, state, data, control, AllowedUsers(group), accounts, vault_opener, journal, store, loading)
    finally:
        store.close()
        journal.close()
        if "control" not in passed:
            (runtime / "control.sock").unlink(missing_ok=True)
