"""What each command sends and prints; `--json` to the letter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from outcome import HfProxy, done, failed
from scripted_daemon import CREDENTIAL, ENDPOINT, MINTED, ScriptedDaemon

from hfproxy.wire import Message

TOKEN = "hf_" + "ZxCvBnMaSd" * 3 + "FgHj"

ACCOUNT: Message = {
    "name": "default",
    "user": "alice",
    "role": "write",
    "orgs": ["acme", "foo"],
    "scopes": [],
    "origin": "https://huggingface.co",
    "warnings": ["a classic token; make a fine-grained one"],
}

GRANT: Message = {
    "id": "g1",
    "label": "evil\x1b]0;title\x07",
    "scopes": ["read:a/*", "infer"],
    "account": "default",
    "parent": None,
    "bind": "pid",
    "pid": 42,
    "program": "python",
    "minted_at": 1_790_000_000,
    "expires_at": 1_790_003_600,
    "uses": 3,
}

STATUS: Message = {
    "version": "0.1.0",
    "pid": 7,
    "endpoint": ENDPOINT,
    "vault": "keyring",
    "locked": False,
    "accounts": [{"name": "default", "user": "alice", "role": "write"}],
    "grants": 2,
    "started_at": 1_790_000_000,
    "new_field": [1],
}


def test_status_is_the_daemons_own_object(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = STATUS
    assert json.loads(done(hf_proxy("status", "--json"))) == STATUS
    told = done(hf_proxy("status"))
    assert ENDPOINT in told
    assert "default (alice, write)" in told


def test_a_locked_vault_is_told_with_the_way_to_open_it(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = {**STATUS, "locked": True, "accounts": []}
    told = done(hf_proxy("status"))
    assert "hf-proxy unlock" in told
    # There may be accounts: to log in is not the next step.
    assert "hf-proxy login" not in told


def test_an_open_vault_without_accounts_is_told_with_the_way_to_fill_it(
    hf_proxy: HfProxy, daemon: ScriptedDaemon
) -> None:
    daemon.answers["status"] = {**STATUS, "accounts": []}
    assert "hf-proxy login" in done(hf_proxy("status"))


def test_mint_prints_the_credential_and_nothing_else(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert done(hf_proxy("mint", "--scope", "read:a/b")) == CREDENTIAL + "\n"
    assert daemon.requests == [{"do": "mint", "bind": "none", "scopes": ["read:a/b"]}]


def test_mint_as_json_has_five_members_and_binds_to_who_called_it(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    wanted = {key: MINTED[key] for key in ("id", "credential", "endpoint", "expires_at", "scopes")}
    assert json.loads(done(hf_proxy("mint", "--json", "--bind", "pid"))) == wanted
    assert (daemon.requests[0]["bind"], daemon.requests[0]["of"]) == ("pid", "parent")


SHELLS = ["sh", *(pytest.param(name, marks=pytest.mark.needs(name)) for name in ("bash", "zsh", "fish"))]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_the_lines_of_env(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, environment: dict[str, str], shell: str
) -> None:
    odd = f"it's \"{TOKEN}\" $HOME `id` \\ \\' end\nsecond line \x7f é"
    theirs = {"ODD": odd, "HUGGING_FACE_HUB_TOKEN": "old", "HF_OIDC_RESOURCE": "r", "KEEP": "as is"}
    daemon.answers["mint"] = {**MINTED, "replace": [TOKEN]}
    lines = done(hf_proxy("env", "--shell", shell, extra=theirs))
    assert "KEEP" not in lines
    tell = f"{lines}\n{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    result = subprocess.run(
        [shell, "-c", tell], env={**environment, **theirs}, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["HF_ENDPOINT"], found["HF_TOKEN"]) == (ENDPOINT, CREDENTIAL)
    assert found["ODD"] == odd.replace(TOKEN, CREDENTIAL)
    assert not {"HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"} & found.keys()
    assert daemon.requests[0]["bind"] == "none"


def test_fish_has_its_own_words_and_quotes(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["mint"] = {**MINTED, "replace": [TOKEN]}
    lines = done(hf_proxy("env", "--shell", "fish", extra={"ODD": f"it's \\ {TOKEN}"})).splitlines()
    assert f"set -gx ODD 'it\\'s \\\\ {CREDENTIAL}'" in lines
    assert f"set -gx HF_TOKEN '{CREDENTIAL}'" in lines
    assert lines[-1].startswith("set -e HUGGING_FACE_HUB_TOKEN ")


EVALS = {
    "sh": 'eval "$(%s env)"',
    "bash": 'set -euo pipefail; eval "$(%s env)"',
    "zsh": 'setopt err_exit no_unset; eval "$(%s env)"',
    "fish": "%s env --shell fish | source",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_line_that_is_told_works_in_the_shell(
    daemon: ScriptedDaemon, environment: dict[str, str], shell: str
) -> None:
    line = EVALS[shell] % f"{sys.executable} -m hfproxy"
    told = subprocess.run(
        [shell, "-c", f"{line}\necho $HF_ENDPOINT $HF_TOKEN"],
        env=environment | {"HF_API_TOKEN": "old"},
        capture_output=True,
        text=True,
    )
    assert (told.stdout, told.stderr) == (f"{ENDPOINT} {CREDENTIAL}\n", "")


ENVRC = f"""
watch_file .hf-proxy.toml
eval "$({sys.executable} -m hfproxy env --ttl 8h)"
"""


@pytest.mark.needs("direnv")
def test_direnv_gives_a_projects_directory_its_credential(
    daemon: ScriptedDaemon, environment: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / ".envrc").write_text(ENVRC)
    (project / ".hf-proxy.toml").write_text("")

    def direnv(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["direnv", *words], env=environment | {"HF_API_TOKEN": "old"}, cwd=project, capture_output=True, text=True
        )

    assert direnv("allow").returncode == 0
    told = direnv("exec", ".", "sh", "-c", "echo $HF_TOKEN ${HF_API_TOKEN-gone}")
    assert told.stdout == f"{CREDENTIAL} gone\n", told.stderr
    (asked,) = daemon.requests
    assert (asked["bind"], asked["ttl"]) == ("none", "8h")
    assert asked["project"] == {"path": str(project / ".hf-proxy.toml"), "content": ""}


def test_env_as_json_is_one_object_to_merge(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, environment: dict[str, str]
) -> None:
    found = json.loads(done(hf_proxy("env", "--shell", "json", extra={"HF_OIDC_RESOURCE": "r"})))
    assert found.pop("GIT_CONFIG_COUNT") == "6"
    assert {name for name in found if name.startswith("GIT_")} == {
        f"GIT_CONFIG_{what}_{number}" for what in ("KEY", "VALUE") for number in range(6)
    }
    assert {name: value for name, value in found.items() if not name.startswith("GIT_")} == {
        "HF_ENDPOINT": ENDPOINT,
        "HF_TOKEN": CREDENTIAL,
        "HF_TOKEN_PATH": f"{environment['HFPROXY_RUNTIME_DIR']}/no-token",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "HF_OIDC_RESOURCE": None,
    }


def test_a_name_that_is_no_variable_of_a_shell_is_not_evaluated(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["mint"] = {**MINTED, "replace": [TOKEN]}
    result = hf_proxy("env", extra={"X;touch pwned;Y": TOKEN})
    assert result.returncode == 0
    assert "pwned" not in result.stdout
    assert "holds a token" in result.stderr


def test_grants(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["grants"] = [GRANT, {}]
    assert json.loads(done(hf_proxy("grants", "--json"))) == [GRANT]
    head, row = done(hf_proxy("grants", extra={"TZ": "UTC"})).splitlines()
    assert head.split()[:3] == ["ID", "LABEL", "SCOPES"]
    assert row.split()[0] == "g1"
    assert "\x1b" not in row
    assert "evil\\x1b]0;title\\x07" in row
    assert "2026-09-21T15:13:20+0000" in row


def test_no_grants_is_an_empty_list(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["grants"] = [{}]
    assert done(hf_proxy("grants", "--json")) == "[]\n"
    assert "no grants; see" in done(hf_proxy("grants"))


def test_accounts(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["accounts"] = {"accounts": [ACCOUNT]}
    assert json.loads(done(hf_proxy("accounts", "--json"))) == [ACCOUNT]
    told = done(hf_proxy("accounts"))
    assert "alice" in told
    assert "acme, foo" in told
    assert "default: a classic token" in told


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("g1", "g2"), {"do": "revoke", "ids": ["g1", "g2"]}),
        (("--all",), {"do": "revoke", "all": True}),
    ],
)
def test_revoke(hf_proxy: HfProxy, daemon: ScriptedDaemon, words: tuple[str, ...], request_: Message) -> None:
    assert done(hf_proxy("revoke", *words)) == "revoked: g1\nrevoked: g2\n"
    assert daemon.requests == [request_]


def test_logout_and_lock(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers.update(logout={"account": "work"}, lock={"locked": True})
    assert "work" in done(hf_proxy("logout", "--account", "work"))
    assert "hf-proxy unlock" in done(hf_proxy("lock"))
    assert daemon.requests == [{"do": "logout", "account": "work"}, {"do": "lock"}]


def test_login_from_stdin(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["login"] = ACCOUNT
    result = hf_proxy("login", "--account", "work", "--token-stdin", stdin=f"  {TOKEN}\r\n")
    assert daemon.requests == [{"do": "login", "account": "work", "token": TOKEN}]
    assert "alice" in result.stdout
    assert "acme, foo" in result.stdout
    assert result.stderr == "hf-proxy: warning: a classic token; make a fine-grained one\n"
    assert TOKEN not in result.stdout + result.stderr


def test_login_from_a_file_says_that_the_file_is_still_there(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    daemon.answers["login"] = {**ACCOUNT, "warnings": []}
    file = tmp_path / "token"
    file.write_text(TOKEN)
    result = hf_proxy("login", "--token-file", str(file))
    assert result.returncode == 0
    assert daemon.requests[0]["token"] == TOKEN
    assert f"in {file} as plaintext; delete it" in result.stderr


@pytest.mark.parametrize("given", ["", " \n", "\x00" * 70_000, "x" * 70_000])
def test_a_login_with_nothing_is_nothing(hf_proxy: HfProxy, daemon: ScriptedDaemon, given: str) -> None:
    failed(hf_proxy("login", "--token-stdin", stdin=given), 1)
    assert daemon.requests == []


def test_a_login_from_a_file_that_is_not_there_fails(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert "cannot be read" in failed(hf_proxy("login", "--token-file", "/no/such"), 1)
    assert daemon.requests == []


@pytest.mark.parametrize(
    "words",
    [
        (TOKEN,),
        ("--token", TOKEN),
        (f"--token={TOKEN}",),
        ("--account", "a", TOKEN),
        ("--", TOKEN),
        ("--token-stdin", TOKEN),
        ("not-even-shaped-like-one",),
    ],
)
def test_a_token_in_the_command_line_is_refused_and_not_repeated(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, words: tuple[str, ...]
) -> None:
    said = failed(hf_proxy("login", *words), 2)
    assert "a token in the command line" in said
    assert words[-1] not in said
    assert daemon.requests == []


def test_a_prompt_without_a_terminal_names_the_other_way(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert "--token-stdin" in failed(hf_proxy("login", stdin=f"{TOKEN}\n"), 2)
    assert daemon.requests == []


def unlocked_from(descriptor_content: bytes, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()
    os.write(writing, descriptor_content)
    os.close(writing)
    words = [sys.executable, "-m", "hfproxy", "unlock", "--passphrase-fd", str(reading)]
    result = subprocess.run(words, env=environment, pass_fds=(reading,), capture_output=True, text=True, check=False)
    os.close(reading)
    return result


def test_unlock_reads_a_passphrase_from_a_descriptor(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["unlock"] = lambda asked: (
        {"locked": False} if "passphrase" in asked else {"locked": True, "exists": True}
    )
    done(unlocked_from(b" pass word \n\n", environment))
    assert daemon.requests == [{"do": "unlock"}, {"do": "unlock", "passphrase": " pass word \n"}]
    failed(unlocked_from(b"", environment), 1)


def test_unlock_asks_for_nothing_when_the_vault_is_open(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["unlock"] = {"locked": False, "exists": True}
    assert "open" in done(hf_proxy("unlock"))
    assert daemon.requests == [{"do": "unlock"}]


def test_unlock_with_a_descriptor_that_is_not_open_is_a_usage_error(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["unlock"] = {"locked": True, "exists": True}
    assert "descriptor 99 is not open" in failed(hf_proxy("unlock", "--passphrase-fd", "99"), 2)


def test_a_wrong_passphrase_is_not_repeated(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["unlock"] = lambda asked: (
        {"error": "the passphrase does not open it; try: hf-proxy unlock", "code": 1}
        if "passphrase" in asked
        else {"locked": True, "exists": True}
    )
    assert "open sesame" not in failed(unlocked_from(b"open sesame", environment), 1)


def test_a_vault_that_was_not_opened_yet_is_not_said_to_be_empty(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = {**STATUS, "opened": False, "accounts": []}
    told = done(hf_proxy("status"))
    assert "not opened yet; it opens at the first request that needs it" in told
    assert "hf-proxy login" not in told


class TestPassphraseFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "passphrase"
        path.write_text("pass word\n")
        path.chmod(0o600)
        return path

    def test_is_what_unlock_and_vault_take(self, hf_proxy: HfProxy, daemon: ScriptedDaemon, file: Path) -> None:
        daemon.answers["unlock"] = lambda asked: {"locked": "passphrase" not in asked, "exists": True}
        daemon.answers["seal"] = {"vault": "keyring:SecretService (sealed)", "locked": False}
        done(hf_proxy("unlock", "--passphrase-file", str(file), "--keep", "8h"))
        assert "hf-proxy unlock" in done(hf_proxy("vault", "seal", "--passphrase-file", str(file)))
        assert "hf-proxy vault seal" in done(hf_proxy("vault", "unseal", "--passphrase-file", str(file)))
        assert daemon.requests == [
            {"do": "unlock", "keep": "8h"},
            {"do": "unlock", "passphrase": "pass word", "keep": "8h"},
            {"do": "seal", "passphrase": "pass word"},
            {"do": "seal", "passphrase": "pass word", "undo": True},
        ]

    def test_that_others_can_read_is_not_taken(self, hf_proxy: HfProxy, daemon: ScriptedDaemon, file: Path) -> None:
        file.chmod(0o644)
        said = failed(hf_proxy("vault", "seal", "--passphrase-file", str(file)), 1)
        assert f"chmod 600 {file}" in said
        assert daemon.requests == []

    def test_where_there_is_no_terminal_the_other_way_is_named(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        assert "hf-proxy vault seal --passphrase-fd 3 3<FILE" in failed(hf_proxy("vault", "seal"), 2)
