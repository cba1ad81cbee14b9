"""Trust in project files: the scopes of a project file count only if a person has trusted this content at this path.

A cloned repository must not choose its own scopes. Each trusted file is a note in the state directory with a MAC by the
journal's key, which is in the vault: a process that can only write the directory cannot forge one. From inside a grant
nothing can be trusted (`control.caller`).
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
from hfproxy.daemon.control.requests import ProjectFile
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.errors import AccountError, RefusedError

NOTES_DIRECTORY: Final = "allowed"


class _Note(msgspec.Struct, frozen=True):
    path: str
    mac: str
    uid: int | None = None  # the user who trusts the file, if it is not the daemon's own user


class ProjectTrust:
    """The project files that users trust."""

    def __init__(self, state_dir: Path, accounts: AccountRegistry, journal: JournalWriter) -> None:
        self._directory = state_dir / NOTES_DIRECTORY
        self._accounts, self._journal = accounts, journal

    async def trusted_scopes(self, file: ProjectFile, uid: int) -> tuple[str, ...]:
        """Return the scopes of a trusted file. May wait for a keyring prompt.

        Raises:
            RefusedError: the user does not trust the file with this content.
            ConfigError: it is not valid, though an older version may have accepted it.
            AccountError: there is no account yet, and so no key for the MAC.
            VaultError: the vault is locked, absent or damaged.
        """
        if not self._is_trusted(file, uid, await self._key(uid)):
            raise RefusedError(
                f"{file.path} asks for scopes and is not allowed, or was changed since;"
                " read it, then: hf-proxy allow (or name what is needed: --scope)"
            )
        return config.parse_project(file.content, file.path).scopes

    async def trust(self, file: ProjectFile, uid: int, *, dry: bool) -> wire.Message:
        """Trust a file with its present content; with `dry`, only return its scopes. May wait for a keyring prompt.

        Raises:
            ConfigError: the file is not valid.
            AccountError: there is no account yet, and so no key for the MAC.
            RefusedError: the note could not be written.
            VaultError: the vault is locked, absent or damaged.
        """
        scopes = list(config.parse_project(file.content, file.path).scopes)
        digest, key = _digest(file, uid), await self._key(uid)
        if not dry:
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.ALLOWED.value, "uid": uid, "project": file.path, "scopes": scopes}
            )
            note = msgspec.json.encode(_Note(file.path, chain.mac(digest, key), _foreign_uid(uid)))
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                await asyncio.to_thread(atomic_file.write, self._directory / digest.hex(), note)
            except OSError as error:
                raise self._unwritable(error) from None
        return {"path": file.path, "scopes": scopes}

    async def untrust(self, path: str, uid: int) -> wire.Message:
        """Remove a user's trust in a path, whatever its content. Raises RefusedError if a note cannot be removed."""
        try:
            notes = {file: _read(file) for file in self._directory.glob("*")}
            matching = [file for file, note in notes.items() if (note.path, note.uid) == (path, _foreign_uid(uid))]
            for file in matching:
                await asyncio.to_thread(atomic_file.remove, file)
        except OSError as error:
            raise self._unwritable(error) from None
        return {"forgotten": len(matching)}

    def _is_trusted(self, file: ProjectFile, uid: int, key: bytes) -> bool:
        digest = _digest(file, uid)
        return chain.mac_matches(digest.hex(), _read(self._directory / digest.hex()).mac, key)

    async def _key(self, uid: int) -> bytes:
        await self._accounts.load(uid)
        key = self._accounts.cache.journal_key
        if key is None:
            raise AccountError("there is no account yet; run: hf-proxy login")
        return key.reveal().encode()

    def _unwritable(self, error: OSError) -> RefusedError:
        return RefusedError(f"{self._directory} cannot be written ({error.strerror}); make room, then try again")


def _foreign_uid(uid: int) -> int | None:
    """Return the uid of a user who is not the daemon's own, else None: notes of single-user versions have no uid."""
    return None if uid == os.getuid() else uid


def _digest(file: ProjectFile, uid: int) -> bytes:
    """Return the SHA-256 of user, path and content: what one user trusts, no other user does.

    The fields are separated by NUL, which no path contains. The same key makes the MACs of journal lines; these begin
    with `{`, so no MAC fits both.
    """
    kind = "project" if _foreign_uid(uid) is None else f"project of {uid}"
    return hashlib.sha256(b"\0".join(text.encode("utf-8") for text in (kind, file.path, file.content))).digest()


def _read(file: Path) -> _Note:
    """Read a note; one that cannot be read is a note that trusts nothing."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Note)
    except (OSError, msgspec.MsgspecError):
        return _Note("", "")
