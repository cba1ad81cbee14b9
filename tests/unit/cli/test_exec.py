"""`exec` becomes the command; what the command then finds in its environment, and what it costs to load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from outcome import HfProxy, failed
from scripted_daemon import CREDENTIAL, ENDPOINT, MINTED, ScriptedDaemon

TOKEN = "hf_" + "QwErTyUiOp" * 3 + "AsDf"
ORG_TOKEN = "api_org_" + "QwErTyUiOp" * 3 + "AsDf"
OAUTH = "hf_oauth_eyJhbGciOi.eyJzdWIiOi-_x.SflKxwRJSM"

# A program that says what it was given.
TELL = (
    sys.executable,
    "-c",
    "import json, os, sys; print(json.dumps([os.getpid(), dict(os.environ), sys.argv[1:]]))",
)


def child(hf_proxy: HfProxy, *options: str, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of an exec'd program."""
    result = hf_proxy("exec", *options, "--", *TELL, extra=extra)
    assert (result.returncode, result.stderr) == (0, "")
    environment: dict[str, str] = json.loads(result.stdout)[1]
    return environment


def test_the_command_has_endpoint_and_credential(hf_proxy: HfProxy, daemon: ScriptedDaemon, runtime: Path) -> None:
    found = child(hf_proxy)
    assert (found["HF_ENDPOINT"], found["HF_TOKEN"]) == (ENDPOINT, CREDENTIAL)
    assert found["HF_TOKEN_PATH"] == str(runtime / "no-token")
    assert not (runtime / "no-token").exists()
    assert found["NO_PROXY"] == found["no_proxy"] == "127.0.0.1,localhost"
    assert "NETRC" not in found


def test_the_request_says_what_was_typed_and_no_more(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    hf_proxy("exec", "/bin/true")
    hf_proxy(
        *(
            "exec",
            "--scope",
            "read:a/*",
            "--scope=write:a/b",
            "--profile",
            "p",
            "--ttl",
            "15m",
            "--account",
            "work",
        ),
        *(
            "--label",
            "my run",
            "--bind",
            "tree",
            "--ambient",
            "--strict",
            "--max-uses",
            "7",
            "true",
            "--scope",
            "x",
        ),
    )
    bare, full = daemon.requests
    assert bare == {"do": "mint", "bind": "pid", "of": "caller", "program": "true", "found": []}
    assert full == {
        "do": "mint",
        "scopes": ["read:a/*", "write:a/b"],
        "profile": "p",
        "ttl": "15m",
        "account": "work",
        "label": "my run",
        "bind": "tree",
        "of": "caller",
        "ambient": True,
        "strict": True,
        "max_uses": 7,
        "program": "true",
        "found": [],
    }


@pytest.mark.parametrize("dashes", [("--",), ()])
def test_the_words_of_the_command_stay_its_own(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, dashes: tuple[str, ...]
) -> None:
    words = ("--scope", "--", "-h", "", "a b", "--help")
    result = hf_proxy("exec", "--scope", "read", *dashes, *TELL, *words)
    assert json.loads(result.stdout)[2] == list(words)


def test_no_uses_at_all_are_for_the_daemon_to_refuse_and_not_forgotten(
    hf_proxy: HfProxy, daemon: ScriptedDaemon
) -> None:
    """Or a credential that should be good for nothing would be good for ever."""
    hf_proxy("exec", "--max-uses", "0", "true")
    assert daemon.requests[0]["max_uses"] == 0


def test_a_program_whose_name_is_no_text_runs_like_any_other(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    program = os.fsencode(tmp_path) + b"/odd\xff"
    os.symlink("/bin/true", program)
    assert hf_proxy("exec", os.fsdecode(program)).returncode == 0
    assert daemon.requests[0]["program"] == "odd\\xff"


def test_the_process_stays_the_same(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    words = [sys.executable, "-m", "hfproxy", "exec", "--", *TELL]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.read())[0] == program.pid


def test_exit_codes_and_signals_are_the_commands_own(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert hf_proxy("exec", "sh", "-c", "exit 41").returncode == 41
    assert hf_proxy("exec", "sh", "-c", "kill -TERM $$").returncode == -15


def test_a_broken_pipe_ends_the_command_as_ever(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    """Python ignores SIGPIPE; had the command inherited that, `yes` would complain instead."""
    piped = f"({sys.executable} -m hfproxy exec yes; echo $? >&2) | head -n 1"
    result = hf_proxy("exec", "sh", "-c", piped)
    assert (result.stdout, result.stderr) == ("y\n", "141\n")


def test_no_descriptor_is_left_open(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    listing = "import os; print(sorted(fd for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}')))"
    assert hf_proxy("exec", sys.executable, "-c", listing).stdout == "[0, 1, 2]\n"


def test_what_holds_a_token_or_outranks_ours_is_gone(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    names = (
        *("HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "HF_OIDC_ID_TOKEN", "HUGGINGFACE_CO_STAGING"),
        *("HF_ACCESS_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HF_INFERENCE_ENDPOINT"),
    )
    theirs = dict.fromkeys(names, "x") | {"HF_TOKEN": "y", "HF_ENDPOINT": "https://huggingface.co"}
    found = child(hf_proxy, extra={**theirs, "HF_TOKEN_PATH": "/real", "HF_HUB_OFFLINE": "0", "API_KEY": "mine"})
    assert not set(names) & found.keys()
    assert (found["HF_TOKEN"], found["HF_ENDPOINT"]) == (CREDENTIAL, ENDPOINT)
    assert (found["HF_HUB_OFFLINE"], found["API_KEY"]) == ("0", "mine")


def test_a_token_is_replaced_wherever_it_stands(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["mint"] = {**MINTED, "replace": [TOKEN, ORG_TOKEN, OAUTH]}
    found = child(
        hf_proxy,
        extra={
            "API_KEY": TOKEN,
            "REMOTE": f"https://me:{TOKEN}@huggingface.co/a/b.git",
            "HEADERS": f'{{"Authorization": "Bearer {ORG_TOKEN}", "again": "{TOKEN}"}}',
            "ESCAPED": f"Bearer%20{TOKEN}.git",
            "JWT": OAUTH,
            "SENTENCE": f"It is {OAUTH}.",
            "BACKUP": f"my_hf_{TOKEN}_backup-2",
            "HUGGINGFACE_TOKEN": TOKEN,
        },
    )
    assert found["API_KEY"] == found["JWT"] == CREDENTIAL
    assert found["REMOTE"] == f"https://me:{CREDENTIAL}@huggingface.co/a/b.git"
    assert found["HEADERS"] == f'{{"Authorization": "Bearer {CREDENTIAL}", "again": "{CREDENTIAL}"}}'
    assert found["ESCAPED"] == f"Bearer%20{CREDENTIAL}.git"
    assert found["SENTENCE"] == f"It is {CREDENTIAL}."
    assert found["BACKUP"] == f"my_hf_{CREDENTIAL}_backup-2"
    assert "HUGGINGFACE_TOKEN" not in found
    sent = daemon.requests[0]["found"]
    assert isinstance(sent, list)
    assert {TOKEN, ORG_TOKEN, OAUTH} <= set(sent)


def test_only_what_looks_like_a_token_is_sent_and_never_a_credential(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    hf_proxy("exec", "true", extra={"A": f"x{TOKEN}y/secret", "B": CREDENTIAL, "C": "hf_x", "D": "password"})
    sent = daemon.requests[0]["found"]
    assert isinstance(sent, list)
    assert all(candidate in f"{TOKEN}y" for candidate in sent)
    assert f"{TOKEN}y" in sent


@pytest.mark.parametrize(
    "value",
    [f"{TOKEN}_backup", f"{TOKEN}-x.git", f"a_hf_{TOKEN}", f"{TOKEN}.", f"%20{TOKEN}%20", f"{TOKEN}@h"],
)
def test_the_token_itself_is_among_what_is_sent(hf_proxy: HfProxy, daemon: ScriptedDaemon, value: str) -> None:
    hf_proxy("exec", "true", extra={"A": value})
    sent = daemon.requests[0]["found"]
    assert isinstance(sent, list)
    assert TOKEN in sent


def test_what_is_no_token_of_the_vault_stays(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert child(hf_proxy, extra={"OTHER": TOKEN})["OTHER"] == TOKEN


def test_values_that_are_no_text_pass_unchanged(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfproxy", "exec", "printenv", "ODD"],
        env={
            **{k.encode(): v.encode() for k, v in environment.items()},
            b"ODD": b"\xff\xfe hf_\xff" + TOKEN.encode(),
        },
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"\xff\xfe hf_\xff" + TOKEN.encode() + b"\n"


@pytest.mark.parametrize(
    ("theirs", "upper", "lower"),
    [
        (
            {"NO_PROXY": "a.b, 10.0.0.0/8"},
            "a.b, 10.0.0.0/8,127.0.0.1,localhost",
            "a.b, 10.0.0.0/8,127.0.0.1,localhost",
        ),
        ({"no_proxy": "x"}, "x,127.0.0.1,localhost", "x,127.0.0.1,localhost"),
        ({"NO_PROXY": "u", "no_proxy": "l,localhost"}, "u,127.0.0.1,localhost", "l,localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*", "*"),
    ],
)
def test_no_proxy_is_extended(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, theirs: dict[str, str], upper: str, lower: str
) -> None:
    found = child(hf_proxy, extra={"HTTP_PROXY": "http://corp:3128", **theirs})
    assert (found["NO_PROXY"], found["no_proxy"]) == (upper, lower)
    assert found["HTTP_PROXY"] == "http://corp:3128"


@pytest.mark.parametrize(
    ("content", "hidden"),
    [
        ("machine github.com login a password b\n", False),
        ("machine github.com login default password 127.0.0.1\n", False),
        ("default login a password b\n", True),
        ("machine github.com login a password b\nmachine 127.0.0.1 login a password b\n", True),
        ("machine localhost login a password b\n", True),
        ("nonsense default\n", True),
        ("nonsense\n", False),
    ],
)
@pytest.mark.parametrize("where", [".netrc", "_netrc", "elsewhere"])
def test_a_netrc_is_hidden_only_where_it_would_win(
    hf_proxy: HfProxy,
    daemon: ScriptedDaemon,
    environment: dict[str, str],
    content: str,
    hidden: bool,
    where: str,
) -> None:
    file = Path(environment["HOME"]) / where
    file.write_text(content)
    theirs = {"NETRC": str(file)} if where == "elsewhere" else {}
    assert child(hf_proxy, extra=theirs).get("NETRC", "") == ("/dev/null" if hidden else theirs.get("NETRC", ""))


def test_a_command_that_is_not_there_is_127_and_its_grant_is_revoked(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    for command in ("no-such-command-at-all", "/no/such", "/etc/passwd/x"):
        daemon.requests.clear()
        failed(hf_proxy("exec", "--", command), 127)
        assert daemon.requests[1:] == [{"do": "revoke", "ids": ["g1"]}]


def test_what_cannot_be_executed_is_126_and_its_grant_is_revoked(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("not a program")
    (tmp_path / "broken").write_text("not a program")
    (tmp_path / "broken").chmod(0o755)
    for command in (tmp_path, tmp_path / "text", tmp_path / "broken"):
        daemon.requests.clear()
        failed(hf_proxy("exec", str(command)), 126)
        assert daemon.requests[1:] == [{"do": "revoke", "ids": ["g1"]}]


def test_without_a_daemon_it_is_125(hf_proxy: HfProxy) -> None:
    assert "start it: hf-proxy service install" in failed(hf_proxy("exec", "--", "true"), 125)


@pytest.mark.parametrize(("code", "exit_code"), [(1, 125), (2, 2)])
def test_a_refusal_is_125_and_a_malformed_scope_is_2(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, code: int, exit_code: int
) -> None:
    daemon.answers["mint"] = {"error": "no; see: hf-proxy accounts", "code": code}
    assert failed(hf_proxy("exec", "true"), exit_code) == "hf-proxy: no; see: hf-proxy accounts\n"


@pytest.mark.parametrize("missing", ["credential", "endpoint", "replace"])
def test_half_an_answer_runs_nothing(hf_proxy: HfProxy, daemon: ScriptedDaemon, missing: str) -> None:
    daemon.answers["mint"] = {key: value for key, value in MINTED.items() if key != missing}
    failed(hf_proxy("exec", "echo", "ran"), 125)


def test_the_way_of_exec_loads_nothing_heavy(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    heavy = {
        *(
            "aiohttp",
            "asyncio",
            "cryptography",
            "keyring",
            "structlog",
            "click",
            "msgspec",
            "tomllib",
            "platformdirs",
        ),
        *(
            "argparse",
            "dataclasses",
            "pathlib",
            "logging",
            "subprocess",
            "hfproxy.core",
            "hfproxy.config",
            "netrc",
        ),
    }
    probe = (
        "import os, sys\n"
        "def show(*_):\n    print('\\n'.join(sys.modules)); sys.stdout.flush(); os._exit(0)\n"
        "os.execvpe = show\n"
        "from hfproxy.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe, "exec", "--scope", "read", "--", "true"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = set(done.stdout.split())
    assert "hfproxy.cli.run.exec" in loaded, done.stderr
    assert not heavy & loaded
