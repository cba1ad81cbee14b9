"""A home full of tokens, and full of what only looks like one. Every token is made up at run time.

A place is a file, what it holds, and what it has to hold once its tokens are moved. `{T}` stands for a token; in `after`
it is simply gone, unless a place says otherwise.
"""

import base64
import json
import os
import random
import sqlite3
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import canary

from hfproxy.detect import patterns as finder


def made_up() -> str:
    """A token as nearly all are. The few in 10,000 that look like words are counted in `test_patterns.py`."""
    while True:
        token = canary.made_up()
        if list(finder.find_plain(token.encode())):
            return token


@dataclass(frozen=True)
class Place:
    """A file with a token in it."""

    path: str
    before: bytes
    after: bytes | None  # None: it cannot be changed by a program, and must not be
    kind: str
    token: str
    mode: int = 0o644


@dataclass
class Tokens:
    """Whose they are; `refresh` renews `oauth`."""

    me: str = field(default_factory=made_up)
    reader: str = field(default_factory=made_up)
    bot: str = field(default_factory=made_up)
    org: str = field(default_factory=lambda: "api_org_" + made_up()[3:])
    oauth: str = field(
        default_factory=lambda: f"hf_oauth_eyJhbGciOiJFZERTQSJ9.{made_up()[3:]}7.{made_up()[3:]}-{made_up()[3:]}"
    )
    refresh: str = field(default_factory=lambda: f"hf_oauth__refresh_{made_up()[3:]}")

    def live(self) -> dict[str, tuple[str, ...]]:
        """The users of a Hub, and the tokens of each."""
        return {"me": (self.me, self.reader, self.oauth), "bot": (self.bot,), "acme": (self.org,)}


# Path, kind, what it holds; and what is to be there afterwards, where that is more than the token gone.
TEXTS: tuple[tuple[str, ...], ...] = (
    (".cache/huggingface/token", "token-file", "{T}"),
    (".cache/huggingface_staging/token", "token-file", "{T}\n"),
    (".huggingface/token", "token-file", "{T}\n"),
    (".netrc", "netrc", "machine huggingface.co\n  login u\n  password {T}\nmachine other login a password b\n",
     'machine huggingface.co\n  login u\n  password ""\nmachine other login a password b\n'),
    ("_netrc", "netrc", "machine huggingface.co login u password {T}", 'machine huggingface.co login u password ""'),
    (".git-credentials", "git-credentials", "https://a:b@example.com\nhttps://hf_user:{T}@huggingface.co\n",
     "https://a:b@example.com\nhttps://huggingface.co\n"),
    (".config/git/credentials", "git-credentials", "https://{T}@huggingface.co\n", "https://huggingface.co\n"),
    (".gitconfig", "git-config", '[url "https://me:{T}@huggingface.co/"]\n\tinsteadOf = https://huggingface.co/\n',
     '[url "https://huggingface.co/"]\n\tinsteadOf = https://huggingface.co/\n'),
    ("src/model/.git/config", "git-config", '[remote "origin"]\n\turl = https://me:{T}@huggingface.co/me/model\n',
     '[remote "origin"]\n\turl = https://huggingface.co/me/model\n'),
    ("src/lfs/.git/config", "git-config", '[lfs "https://u:{T}@huggingface.co/me/l.git/info/lfs"]\n\taccess = basic\n',
     '[lfs "https://huggingface.co/me/l.git/info/lfs"]\n\taccess = basic\n'),
    ("src/model/.git/logs/HEAD", "git-config", "0 1 Me <m@x> 1 +0\tclone: from https://me:{T}@huggingface.co/me/model\n",
     "0 1 Me <m@x> 1 +0\tclone: from https://huggingface.co/me/model\n"),
    ("src/model/.git/FETCH_HEAD", "git-config", "abc\t\tbranch 'main' of https://me:{T}@huggingface.co/me/model\n",
     "abc\t\tbranch 'main' of https://huggingface.co/me/model\n"),
    ("src/sub/.git/modules/x/config", "git-config", "[http]\n\textraHeader = Authorization: Bearer {T}\n"),
    ("src/model/.gitmodules", "git-config", '[submodule "d"]\n\turl = https://x:{T}@huggingface.co/datasets/me/d\n',
     '[submodule "d"]\n\turl = https://huggingface.co/datasets/me/d\n'),
    ("src/app/.env", "env-file", "A=1\nHF_TOKEN={T}\nB=2\n"),
    ("src/app/.env.local", "env-file", 'HF_TOKEN="{T}"\r\nB=2\r\n'),
    ("src/app/production.env", "env-file", "HUGGING_FACE_HUB_TOKEN='{T}'"),
    ("src/app/.envrc", "env-file", "export HF_TOKEN={T}\n"),
    (".bashrc", "shell-rc", 'export PATH="$PATH:~/bin"\nexport HF_TOKEN={T}  # the hub\n'),
    (".zshrc", "shell-rc", "export HUGGINGFACEHUB_API_TOKEN='{T}'\n"),
    (".profile", "shell-rc", "HF_TOKEN={T}; export HF_TOKEN\n"),
    (".zshenv", "shell-rc", "typeset -x HF_TOKEN={T}\n"),
    (".config/fish/config.fish", "shell-rc", "set -gx HF_TOKEN {T}\n"),
    (".config/environment.d/hf.conf", "shell-rc", "HF_TOKEN={T}\n"),
    (".bash_history", "shell-history", "ls\nhf auth login --token {T} --add-to-git-credential\ncd\n"),
    (".zsh_history", "shell-history", ": 1700000000:0;export HF_TOKEN={T}\n: 1700000001:0;ls\n"),
    (".local/share/fish/fish_history", "shell-history", "- cmd: curl -H 'Authorization: Bearer {T}' x\n  when: 1\n"),
    (".python_history", "shell-history", 'login("{T}")\n'),
    (".node_repl_history", "shell-history", "const t = '{T}'\n"),
    (".config/powershell/ConsoleHost_history.txt", "shell-history", '$env:HF_TOKEN = "{T}"\n'),
    ("src/nb/train.ipynb", "notebook",
     '{"cells": [{"source": ["from huggingface_hub import login\\n", "login(\\"{T}\\")\\n"]}]}'),
    ("src/nb/output.ipynb", "notebook", '{"cells": [{"outputs": [{"text": ["token:\\n{T}\\n"]}]}]}'),
    ("src/nb/coloured.ipynb", "notebook", '{"cells": [{"outputs": [{"text": ["\\u001b[32m{T}\\u001b[0m"]}]}]}'),
    (".docker/config.json", "docker-config", '{"auths": {"registry.hf.space": {"auth": "{B}"}}}',
     '{"auths": {"registry.hf.space": {"auth": "{b}"}}}'),
    (".config/containers/auth.json", "docker-config", '{"auths": {"registry.hf.space": {"password": "{T}"}}}'),
    ("src/app/docker-compose.yml", "compose", "services:\n  a:\n    environment:\n      - HF_TOKEN={T}\n"),
    ("src/app/compose.override.yaml", "compose", "services: {a: {environment: {HF_TOKEN: {T}}}}\n"),
    ("src/app/Dockerfile", "dockerfile", "FROM x\nENV HF_TOKEN={T}\nRUN hf auth login --token {T}\n"),
    ("src/app/Dockerfile.old", "dockerfile", "FROM x\nENV HF_TOKEN {T}\n", 'FROM x\nENV HF_TOKEN ""\n'),
    ("src/app/.github/workflows/ci.yml", "ci", "env:\n  HF_TOKEN: {T}\njobs: {}\n"),
    ("src/app/.gitlab-ci.yml", "ci", 'variables:\n  HF_TOKEN: "{T}"\n'),
    ("src/app/.circleci/config.yml", "ci", "environment: {HF_TOKEN: '{T}'}\n"),
    ("src/app/Jenkinsfile", "ci", "environment { HF_TOKEN = '{T}' }\n"),
    (".claude.json", "agent-config", '{"mcpServers": {"hf": {"headers": {"Authorization": "Bearer {T}"}}}}'),
    (".claude/settings.json", "agent-config", '{"env": {"HF_TOKEN": "{T}"}}\n'),
    (".claude/projects/x/log.jsonl", "agent-config", '{"text": "export HF_TOKEN={T}\\nls"}\n'),
    (".cursor/mcp.json", "agent-config", '{"mcpServers": {"hf": {"env": {"HF_TOKEN": "{T}"}}}}'),
    (".codex/config.toml", "agent-config", '[mcp_servers.hf]\nenv = { "HF_TOKEN" = "{T}" }\n'),
    (".gemini/settings.json", "agent-config", '{"mcpServers": {"hf": {"env": {"HF_TOKEN": "{T}"}}}}'),
    ("src/app/.vscode/mcp.json", "agent-config", '{"servers": {"hf": {"headers": {"Authorization": "Bearer {T}"}}}}'),
    (".config/Code/User/settings.json", "agent-config", '{\n  // a comment\n  "hf.token": "{T}",\n}\n'),
    (".config/Claude/claude_desktop_config.json", "agent-config", '{"mcpServers": {"hf": {"args": ["--token", "{T}"]}}}'),
    ("src/app/.mcp.json", "agent-config", '{"mcpServers": {"hf": {"url": "https://hf.co/mcp?token={T}"}}}'),
    (".aider.conf.yml", "agent-config", "api-key:\n  - huggingface={T}\n"),
    (".continue/config.yaml", "agent-config", "models:\n  - apiKey: {T}\n"),
    (".config/pip/pip.conf", "file", "[global]\nindex-url = https://u:{T}@huggingface.co/simple\n",
     "[global]\nindex-url = https://huggingface.co/simple\n"),
    ("src/app/requirements.txt", "file", "git+https://{T}@huggingface.co/me/x@main\n", "git+https://huggingface.co/me/x@main\n"),
    ("src/app/main.py", "file", 'TOKEN = "{T}"\nmodel = load("a", token=TOKEN)\n'),
    ("src/app/app.js", "file", "const hub = new Hub({accessToken: `{T}`})\n"),
    ("src/app/config.toml", "file", '[hub]\ntoken = "{T}"\n'),
    ("src/app/k8s.yaml", "file", "kind: Secret\ndata:\n  token: {E}\n", "kind: Secret\ndata:\n  token: \n"),
    ("src/app/header.conf", "file", "header = Authorization: Basic {B}\n", "header = Authorization: Basic {b}\n"),
    ("src/app/encoded.cfg", "file", "url = https://x/?token={P}\n", "url = https://x/?token=\n"),
    ("src/app/login.sh", "file", "curl 'https://x/?q=a%3D{T}%26b'\n"),
    (".config/systemd/user/job.service", "file", "[Service]\nEnvironment=HF_TOKEN={T}\n"),
    (".ssh/config", "file", "Host gpu\n  SetEnv HF_TOKEN={T}\n"),
    (".local/share/Trash/files/old.env", "env-file", "HF_TOKEN={T}\n"),
    ("Desktop/name with spaces.txt", "file", "{T}\n"),
    ("Desktop/\udcff\udce9 not text.txt", "file", "write this down: {T}.\n"),
    ("notes.md", "file", "My token (`{T}`) is for **reading**.\n"),
    ("server.log", "file", "\x1b[1m{T}\x1b[0m seen\n"),
    ("no-newline", "file", "{T}"),
    ("private/mine.txt", "file", "token: {T}\n"),
)  # fmt: skip


def places(tokens: Tokens) -> list[Place]:
    """Every hiding place in a file, but for those below."""
    turn = (tokens.me, tokens.reader, tokens.bot, tokens.org)
    found = []
    for number, (path, kind, before, *after) in enumerate(TEXTS):
        token = turn[number % len(turn)]
        written, left = _filled(before, token), _filled(after[0] if after else before.replace("{T}", ""), token)
        found.append(Place(path, written, left, kind, token, 0o600 if number % 2 else 0o640))
    return [*found, *_special(tokens)]


def _filled(text: str, token: str) -> bytes:
    for mark, meaning in (
        ("{T}", token),
        ("{B}", base64.b64encode(f"me:{token}".encode()).decode()),
        ("{b}", base64.b64encode(b"me:").decode()),
        ("{E}", base64.b64encode(token.encode()).decode()),
        ("{P}", token.replace("_", "%5F")),
    ):
        text = text.replace(mark, meaning)
    return text.encode("utf-8", "surrogateescape")


def _special(tokens: Tokens) -> Iterator[Place]:
    """Both formats of `stored_tokens`, one very long line, one very long file; and what is only for a person."""
    ini = "[default]\nhf_token = {}\n\n[oauth-me]\nhf_token = {}\nrefresh_token = {}\nexpires_at = 1900000000\n\n"
    before = ini.format(tokens.me, tokens.oauth, tokens.refresh).encode()
    yield Place(
        ".cache/huggingface/stored_tokens",
        before,
        ini.format("", "", "").encode(),
        "stored-tokens",
        tokens.oauth,
        0o600,
    )
    rust = '{{"tokens": {{"a": {{"hf_token": "{}"}}, "b": {{"hf_token": "{}"}}}}}}'
    before, after = rust.format(tokens.reader, tokens.bot).encode(), rust.format("", "").encode()
    yield Place("rust/huggingface/stored_tokens", before, after, "stored-tokens", tokens.bot, 0o600)
    line = b'{"x": "' + b"a" * 3_000_000 + b'"'
    yield Place("src/min.js", line + tokens.me.encode() + line, line + line, "file", tokens.me)
    padding = b"nothing to see here, and no end of it\n" * 900_000
    yield Place("huge.log", padding + tokens.bot.encode() + b"\n", padding + b"\n", "file", tokens.bot)
    utf16 = f"HF_TOKEN={tokens.me}\r\n".encode("utf-16")
    yield Place("windows.env", utf16, None, "binary", tokens.me)
    yield Place("state.pickle", b"\x80\x04\x95\0\0\0\0" + tokens.me.encode() + b"\0.", None, "binary", tokens.me)
    yield Place("src/read-only.txt", tokens.me.encode(), None, "file", tokens.me, 0o444)


def look_alikes() -> dict[str, bytes]:
    """What must be left alone: paths and contents."""
    chance = random.Random()
    letters = string.ascii_letters

    def some(alphabet: str, count: int) -> str:
        return "".join(chance.choice(alphabet) for _ in range(count))

    texts = {
        "ours": "HF_TOKEN=hf_px_" + some(letters + string.digits, 33),
        "ours in json": json.dumps({"HF_TOKEN": "hf_px_" + some(letters + string.digits, 33)}),
        "x": "hf_" + "x" * 34,
        "X": "hf_" + "X" * 34,
        "dots": "hf_" + "." * 34,
        "stars": "hf_" + "*" * 34,
        "abc": "hf_" + string.ascii_lowercase + "ABCDEFGH",
        "Abc": "hf_" + letters[:34],
        "digits": "hf_" + "1234567890" * 4,
        "your token": "hf_YourHuggingFaceTokenGoesRightHereOk",
        "your_token": "hf_your_token_here_your_token_here_1234",
        "example": "hf_" + "exampleTOKEN" * 3,
        "AbAb": "hf_" + "AbCd" * 9,
        "redacted": "hf_" + some(letters, 12) + "REDACTED" + some(letters, 14),
        "secret": "hf_" + some(letters, 14) + "SeCret" + some(letters, 14),
        "placeholder": "hf_" + "PLACEHOLDERplaceholderPLACEHOLDERabc",
        "sha1": "hf_" + some("0123456789abcdef", 40),
        "SHA256": "hf_" + some("0123456789ABCDEF", 64),
        "lower": "hf_" + some(string.ascii_lowercase, 34),
        "upper": "hf_" + some(string.ascii_uppercase, 34),
        "base36": "hf_" + some(string.ascii_lowercase + string.digits, 36),
        "function": "from x import hf_hub_download, hf_hub_download_something_rather_long_for_a_name",
        "camel": "def hf_DownloadTheWholeRepositoryFromHub(): ...",
        "camel2": "hf_transferEnabledForAllOfTheDownloads = True",
        "constant": "HF_HUB_ENABLE_HF_TRANSFER_BY_DEFAULT_FOR_ALL = 1",
        "oauth yaml": "hf_oauth: true\nhf_oauth_scopes:\n  - read-repos\nhf_oauth_expiration_minutes: 480\n",
        "oauth name": "hf_oauth_redirect_uri_of_the_space_that_asks = None",
        "oauth camel": "hf_oauth_RedirectUriForTheSpaceThatAsks",
        "jwt name": "hf_jwt_verification_of_the_signature_by_key",
        "short": "hf_" + some(letters, 29),
        "shorter": "hf_" + some(letters, 20),
        "empty": "HF_TOKEN=hf_",
        "api_org short": "api_org_" + some(letters, 20),
        "api_org x": "api_org_" + "x" * 34,
        "api_org name": "api_org_list_of_all_the_members_of_an_organisation",
        "long": "hf_" + some(letters, 120),
        "prefixed": "my_hf_" + some(letters, 34),
        "glued": "Xhf_" + some(letters, 34),
        "digit glued": "7hf_" + some(letters, 34),
        "suffixed": "hf_" + some(letters, 34) + "_backup",
        "upper prefix": "HF_" + some(letters, 34),
        "dashed": "hf-" + some(letters, 34),
        "no underscore": "hf" + some(letters, 34),
        "spaced": "hf_ " + some(letters, 34),
        "broken": "hf_" + some(letters, 17) + "\n" + some(letters, 17),
        "github": "ghp_" + some(letters, 36),
        "github fine": "github_pat_" + some(letters + string.digits, 82),
        "openai": "sk-proj-" + some(letters + string.digits, 48),
        "anthropic": "sk-ant-api03-" + some(letters + string.digits, 90),
        "aws": "AKIA" + some(string.ascii_uppercase, 16),
        "gitlab": "glpat-" + some(letters, 20),
        "slack": "xoxb-" + some(string.digits, 12) + "-" + some(letters, 24),
        "npm": "npm_" + some(letters + string.digits, 36),
        "pypi": "pypi-" + some(letters + string.digits, 160),
        "replicate": "r8_" + some(letters, 37),
        "uuid": "hf_123e4567-e89b-12d3-a456-426614174000",
        "base64": base64.b64encode(bytes(chance.randrange(256) for _ in range(600))).decode(),
        "base64 of ours": base64.b64encode(b"me:hf_px_" + some(letters, 33).encode()).decode(),
        "base64 of x": base64.b64encode(b"me:hf_" + b"x" * 34).decode(),
        "percent": "hf%5F" + "x" * 34,
        "a url": "https://huggingface.co/hf_internal_testing/tiny_random_llama_for_causal_lm",
        "a path": "/usr/lib/hf_transfer/hf_transfer.cpython_311_x86_64_linux_gnu_so_file",
        "a pattern": r"hf_[A-Za-z]{34}",
        "a template": "HF_TOKEN=hf_${TOKEN_OF_THE_USER_THAT_IS_LOGGED_IN_HERE}",
        "fixture": "hf_" + "TokenOfSomebodyElse" * 2,
        "rotate test": "hf_" + "AcCounts" * 4 + "ab",
    }
    files = {f"alike/{name}.txt": text.encode() for name, text in texts.items()}
    chosen = chance.choice(letters).encode()
    token = made_up().encode()
    files |= {
        # Where nobody looks by default, and says so.
        "alike/node_modules/x/index.js": token,
        "alike/site-packages/x.py": token,
        "alike/repo/.git/HEAD": b"ref: refs/heads/main\n",
        "alike/repo/.git/objects/ab/cdef": token,
        "alike/models--me--m/blobs/0123": token,
        ".cache/pip/http/abc": token,
        "alike/model.safetensors": b"\x08\0\0\0\0\0\0\0{}" + chosen * (17 * 1024 * 1024) + b'"' + token,
        ".cache/huggingface/hub/models--me--m/blobs/0123": token,
        "other/huggingface/token": b"hf_px_" + chosen * 33,
    }
    return files


def seed(home: Path, found: list[Place], alike: dict[str, bytes]) -> None:
    """Write all of it."""
    for path, content in alike.items():
        _write(home, path, content, 0o644)
    for place in found:
        _write(home, place.path, place.before, place.mode)


def _write(home: Path, path: str, content: bytes, mode: int) -> None:
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)


def database(path: Path, token: str) -> None:
    """What editors keep their state in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("create table ItemTable (key text, value blob)")
    connection.execute("insert into ItemTable values ('hf', ?)", (token,))
    connection.commit()
    connection.close()


def obstacles(home: Path) -> None:
    """What must not be opened, and what may not be."""
    folder = home / "obstacles"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("/nonexistent")
    (folder / "zero").symlink_to("/dev/zero")
