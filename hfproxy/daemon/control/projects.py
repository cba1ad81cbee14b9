"""Project files: what one asks for counts once a person has allowed this very content in this very place.

A repository that was only cloned must not choose what it may do. What is allowed is kept in the state directory, one
file each, with a MAC by the journal's key, which is in the vault: who can write the directory cannot make one up. From
inside of a grant nothing can be allowed (`control`).
"""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from hfproxy import atomic_file, config, wire
from hfproxy.core.audit import chain
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control.messages import ProjectFile
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.errors import AccountError, RefusedError

DIRECTORY: Final = "allowed"


class _Allowed(msgspec.Struct, frozen=True):
    path: str
    mac: str
    uid: int | None = None  # who allowed it, if that is not the daemon's own user


class ProjectTrust:
    """What was allowed."""

    def __init__(self, state: Path, accounts: AccountRegistry, journal: JournalWriter) -> None:
        self._directory = state / DIRECTORY
        self._accounts, self._journal = accounts, journal

    async def trusted_scopes(self, file: ProjectFile, uid: int) -> tuple[str, ...]:
        """What an allowed file asks for.

        Raises:
            RefusedError: it is not allowed as it is.
            ConfigError: it is not valid; an older hf-proxy may have found that it was.
        """
        if not self._allows(file, uid, await self._key(uid)):
            raise RefusedError(
                f"{file.path} asks for scopes and is not allowed, or was changed since;"
                " read it, then: hf-proxy allow (or name what is needed: --scope)"
            )
        return config.project(file.content, file.path).scopes

    async def trust(self, file: ProjectFile, uid: int, *, dry: bool) -> wire.Message:
        """Allow a file as it is; `dry`: only say what it asks for.

        Raises:
            ConfigError: it is not valid.
            RefusedError: it could not be written down.
        """
        scopes = list(config.project(file.content, file.path).scopes)
        digest, key = _digest(file, uid), await self._key(uid)
        if not dry:
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.ALLOWED.value, "uid": uid, "project": file.path, "scopes": scopes}
            )
            note = msgspec.json.encode(_Allowed(file.path, chain.mac(digest, key), _foreign_uid(uid)))
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                await asyncio.to_thread(atomic_file.write, self._directory / digest.hex(), note)
            except OSError as error:
                raise self._unwritable(error) from None
        return {"path": file.path, "scopes": scopes}

    async def untrust(self, path: str, uid: int) -> wire.Message:
        """Allow no content of a place any more; raises RefusedError where that cannot be written down."""
        try:
            notes = {note: _read(note) for note in self._directory.glob("*")}
            of_path = [note for note, said in notes.items() if (said.path, said.uid) == (path, _foreign_uid(uid))]
            for note in of_path:
                await asyncio.to_thread(atomic_file.remove, note)
        except OSError as error:
            raise self._unwritable(error) from None
        return {"forgotten": len(of_path)}

    def _allows(self, file: ProjectFile, uid: int, key: bytes) -> bool:
        digest = _digest(file, uid)
        return chain.mac_matches(digest.hex(), _read(self._directory / digest.hex()).mac, key)

    async def _key(self, uid: int) -> bytes:
        await self._accounts.load(uid)
        if self._accounts.journal_key is None:
            raise AccountError("there is no account yet; run: hf-proxy login")
        return self._accounts.journal_key.reveal().encode()

    def _unwritable(self, error: OSError) -> RefusedError:
        return RefusedError(f"{self._directory} cannot be written ({error.strerror}); make room, then try again")


def _foreign_uid(uid: int) -> int | None:
    """A user who is not the daemon's own."""
    return None if uid == os.getuid() else uid


def _digest(file: ProjectFile, uid: int) -> bytes:
    """What one user allows is not allowed for another.

    No path holds a NUL; and a line of the journal, which the same key vouches for, begins otherwise.
    """
    whose = "project" if _foreign_uid(uid) is None else f"project of {uid}"
    said = b"\0".join(text.encode("utf-8") for text in (whose, file.path, file.content))
    return hashlib.sha256(said).digest()


def _read(note: Path) -> _Allowed:
    """What was written down; of what cannot be read, nothing."""
    try:
        return msgspec.json.decode(note.read_bytes(), type=_Allowed)
    except (OSError, msgspec.MsgspecError):
        return _Allowed("", "")
