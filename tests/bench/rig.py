"""What the figures of the data plane are measured with: an upstream over TLS, two peers, a delaying link, the daemon.

Everything is a process of its own with one worker, on loopback. The upstream is nginx; it has a small answer with the
headers of the Hub's API, one of which is different each time, so that nobody gains by knowing an answer again; files of
any size; and a sink for uploads. The peers put a token on every request, as we do, and nothing else.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import trustme
from canary import made_up
from daemon_fixture import DaemonFixture

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MITMDUMP = ROOT / ".venvs" / "mitmproxy" / "bin" / "mitmdump"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
SMALL = "/api/models/me/small"
BIG = "/me/small/raw/main/big"
COMMIT = "/api/models/me/small/commit/main"
WHO = {"name": "me", "id": "1", "type": "user", "auth": {"accessToken": {"role": "fineGrained"}}, "orgs": []}
SLOW = "/me/small/raw/main/slow"
SLOW_BYTES, SLOW_RATE = 200_000, 20_000
SHA = "1" * 40
# What the Hub says of a small model, without its list of files: about one kilobyte.
MODEL = {"id": "me/small", "private": True, "tags": ["x" * 20] * 40, "sha": "0" * 40}
GIB = 1 << 30
START_SECONDS = 20

COMMON = """
{user}worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off; default_type application/json; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;
    {more}
}}
"""
UPSTREAM = """
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {folder}/upstream.pem; ssl_certificate_key {folder}/upstream.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        location = /api/whoami-v2 {{ return 200 '{who}'; }}
        location = {small} {{
            default_type "application/json; charset=utf-8"; return 200 '{model}';
            add_header X-Request-Id "Root=1-$request_id"; add_header ETag 'W/"{sha}"'; add_header X-Powered-By hub;
            add_header RateLimit '"api";r=499;t=262'; add_header RateLimit-Policy '"fixed window";"api";q=500;w=300';
            add_header Access-Control-Allow-Origin *; add_header Vary Origin; add_header X-Repo-Commit {sha};
            add_header Access-Control-Expose-Headers "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,ETag,Link";
            add_header Referrer-Policy strict-origin-when-cross-origin;
        }}
        location = {big} {{ default_type application/octet-stream; alias {folder}/big; }}
        location = {slow} {{ default_type application/octet-stream; limit_rate {rate}; alias {folder}/slow; }}
        location /me/small/resolve/{sha}/ {{
            default_type application/octet-stream; alias {folder}/files/; add_header X-Repo-Commit {sha} always;
        }}
        location /api/models/me/small/revision/ {{ rewrite ^ /revision break; root {folder}/api; }}
        location /api/models/me/small/tree/ {{ rewrite ^ /tree break; root {folder}/api; }}
        location = {commit} {{ proxy_pass http://127.0.0.1:{sink}; proxy_http_version 1.1; proxy_request_buffering off; }}
    }}
"""
PEER = """
    upstream hub {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass https://hub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
            proxy_set_header Authorization "Bearer {token}"; proxy_request_buffering off;
            proxy_ssl_verify on; proxy_ssl_trusted_certificate {folder}/ca.pem; proxy_ssl_name localhost;
        }}
    }}
"""
ADDON = """
def request(flow):
    flow.request.headers["Authorization"] = "Bearer {token}"
"""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Rig:
    """All of them, started when they are first asked for, gone with the `with`."""

    def __init__(self) -> None:
        self.token = made_up()
        self._stack = ExitStack()
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        # In memory where there is such a place: disks are not what is measured.
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            self.folder / "upstream.pem"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def upstream(self) -> int:
        """The port of the upstream (https)."""
        return self._once("upstream", self._start_upstream)

    @property
    def nginx(self) -> int:
        """The port of an nginx that adds a header (http)."""
        return self._once("nginx", lambda: self._nginx("nginx", PEER, upstream=self.upstream, token=self.token))

    @property
    def bare(self) -> int:
        """The port of a proxy in Python that does nothing (http)."""
        return self._once("bare", self._start_bare)

    @property
    def mitmproxy(self) -> int:
        """The port of a mitmproxy that adds a header (http)."""
        return self._once("mitmproxy", self._start_mitmproxy)

    def daemon(self, name: str = "daemon", hub: str | None = None, before: Sequence[str] = ()) -> DaemonFixture:
        """A running daemon before the upstream, logged in; `before`: what is to start it."""
        daemon = DaemonFixture(self.folder / name, hub or f"https://localhost:{self.upstream}", self.folder / "ca.pem")
        self._stack.callback(daemon.stop)
        daemon.start(before=before)
        daemon.login(self.token)
        return daemon

    def file(self, size: int) -> None:
        """Let the upstream's file have this size; it takes no room."""
        with open(self.folder / "big", "wb") as big:
            big.truncate(size)

    def repository(self, sizes: dict[str, int]) -> None:
        """Let the upstream have a repository with files of these sizes, as `hf download` asks for it."""
        files = self.folder / "files"
        files.mkdir()
        for name, size in sizes.items():
            with open(files / name, "wb") as file:
                file.truncate(size)
        siblings = [{"rfilename": name} for name in sizes]
        tree = [{"type": "file", "oid": SHA, "size": size, "path": name} for name, size in sizes.items()]
        (self.folder / "api").mkdir()
        told = {"revision": {"id": "me/small", "sha": SHA, "siblings": siblings}, "tree": tree}
        for name, answer in told.items():
            (self.folder / "api" / name).write_text(json.dumps(answer))

    @property
    def trust(self) -> dict[str, str]:
        """What makes a client trust the upstream."""
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(self.folder / "ca.pem"))

    def far(self, milliseconds: float) -> int:
        """The port of the upstream (https) behind a link that takes so long each way."""
        port = free_port()
        self.run([sys.executable, str(HERE / "relay.py"), str(port), str(self.upstream), str(milliseconds)])
        answers(port)
        return port

    def run(self, command: list[str]) -> None:
        """A process that ends with the rig."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def _once(self, name: str, start: Callable[[], int]) -> int:
        if name not in self._ports:
            self._ports[name] = start()
        return self._ports[name]

    def _start_upstream(self) -> int:
        sink = free_port()
        self.run([sys.executable, str(HERE / "sink.py"), str(sink)])
        answers(sink)
        (self.folder / "slow").write_bytes(bytes(SLOW_BYTES))
        paths: dict[str, object] = {
            "slow": SLOW,
            "rate": SLOW_RATE,
            "sha": SHA,
            "small": SMALL,
            "big": BIG,
            "commit": COMMIT,
            "who": json.dumps(WHO),
            "model": json.dumps(MODEL),
        }
        return self._nginx("upstream", UPSTREAM, sink=sink, **paths)

    def _nginx(self, name: str, more: str, **values: object) -> int:
        port = free_port()
        more = more.format(folder=self.folder, port=port, **values)
        # As root it would become nobody, who cannot enter the folder.
        user = "user root; " if os.getuid() == 0 else ""
        text = COMMON.format(user=user, folder=self.folder, name=name, more=more)
        (self.folder / f"{name}.conf").write_text(text)
        self.run([NGINX, "-p", str(self.folder), "-c", str(self.folder / f"{name}.conf")])
        answers(port)
        return port

    def _start_bare(self) -> int:
        port = free_port()
        self.run([sys.executable, str(HERE / "bare.py"), str(port), str(self.upstream), str(self.folder / "ca.pem")])
        answers(port)
        return port

    def _start_mitmproxy(self) -> int:
        if not MITMDUMP.exists():
            sys.exit(f"mitmproxy is not in {MITMDUMP.parent}; to set it up and measure everything run: make bench")
        port = free_port()
        (self.folder / "addon.py").write_text(ADDON.format(token=self.token))
        options = {
            "confdir": str(self.folder / "mitmproxy"),
            "ssl_verify_upstream_trusted_ca": str(self.folder / "ca.pem"),
            "listen_host": "127.0.0.1",
            "stream_large_bodies": "64k",
            "http2": "false",
        }
        settings = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        mode = f"reverse:https://localhost:{self.upstream}"
        addon = str(self.folder / "addon.py")
        self.run([str(MITMDUMP), "--quiet", "--mode", mode, "--listen-port", str(port), *settings, "-s", addon])
        answers(port)
        return port
