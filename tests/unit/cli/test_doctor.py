"""`doctor` on homes that something is wrong with, each planted; against a scripted daemon or none."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from canary import made_up
from outcome import HfProxy, done, failed
from scripted_daemon import ENDPOINT, ScriptedDaemon

import hfproxy
from hfproxy.cli.doctor import isolation
from hfproxy.cli.doctor.report import AttackResult, AttackOutcome, Mode, Severity

REAL = made_up()
DAY = 86400


@pytest.fixture
def well(daemon: ScriptedDaemon) -> ScriptedDaemon:
    """A daemon that nothing is wrong with. Its process is this one, which anybody may look into."""
    daemon.answers["status"] = {
        "version": hfproxy.__version__, "pid": os.getpid(), "endpoint": ENDPOINT, "vault": "sealed-file", "locked": False,
        "lockdown": False, "journal": "ok", "accounts": [], "grants": 0, "started_at": 0,
    }  # fmt: skip
    token = {
        "name": "default", "user": "me", "role": "fineGrained", "origin": "https://huggingface.co", "state": "good",
        "why": None, "created_at": int(time.time()) - 3 * DAY, "expires_at": None,
    }  # fmt: skip
    daemon.answers["doctor"] = {
        "network": {"origin": "https://huggingface.co", "why": None, "ms": 80, "skew": 0},
        "tokens": [token],
    }
    return daemon


@pytest.fixture
def findings(hf_proxy: HfProxy) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run it; gives the findings by their checks, the worst of each."""

    def run(**extra: str) -> dict[str, dict[str, Any]]:
        report = json.loads(hf_proxy("doctor", "--json", extra=extra).stdout)
        order = ("ok", "info", "warning", "problem")
        return {one["check"]: one for one in sorted(report["findings"], key=lambda one: order.index(one["severity"]))}

    return run


Findings = Callable[..., dict[str, dict[str, Any]]]


def test_without_a_daemon_it_says_so_and_what_to_run(hf_proxy: HfProxy) -> None:
    result = hf_proxy("doctor", "--json")
    assert result.returncode == 1
    assert "no daemon is running" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("run: hf-proxy service install\n")
    report = json.loads(result.stdout)
    assert set(report) == {"mode", "findings", "isolation"}
    (daemon,) = [one for one in report["findings"] if one["check"] == "daemon"]
    assert (daemon["severity"], daemon["fix"]) == ("problem", "hf-proxy service install")
    assert {one["attack"]: one["got"] for one in report["isolation"]}["mem"] == "not measured"


def test_its_shape_is_what_the_contract_says(hf_proxy: HfProxy, well: ScriptedDaemon) -> None:
    report = json.loads(hf_proxy("doctor", "--json").stdout)
    for one in report["findings"]:
        assert list(one) == ["check", "severity", "measured", "fix"]
        assert one["severity"] in {"ok", "info", "warning", "problem"}
        assert one["measured"]
        assert "\n" not in one["measured"]
        assert one["fix"] is None or one["fix"]
    for one in report["isolation"]:
        assert list(one) == ["attack", "got", "measured"]


def test_whatever_is_a_warning_or_a_problem_names_what_to_run(hf_proxy: HfProxy, well: ScriptedDaemon) -> None:
    for extra in ({}, {"HF_TOKEN": REAL, "HTTP_PROXY": "http://proxy:1"}):
        report = json.loads(hf_proxy("doctor", "--json", extra=extra).stdout)
        bad = [one for one in report["findings"] if one["severity"] in {"warning", "problem"}]
        assert bad
        assert [one["check"] for one in bad if not one["fix"]] == []


@pytest.mark.needs("setpriv")
def test_a_daemon_that_can_be_looked_into_is_a_problem(hf_proxy: HfProxy, well: ScriptedDaemon) -> None:
    """It says that it is a process that takes no care. Without root's capabilities: nobody looks into one that has more."""
    privileges = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"] if os.getuid() == 0 else []
    with subprocess.Popen([*privileges, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as careless:
        careless.stdin.write(b"begun\n")
        careless.stdin.flush()
        careless.stdout.readline()
        well.answers["status"]["pid"] = careless.pid
        result = hf_proxy("doctor")
    assert result.returncode == 1
    assert "PROBLEM  process: another program of this user can read the daemon's environment" in result.stdout
    assert "can read the daemon's environment" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ACCESS_TOKEN"])
def test_a_token_in_the_environment_is_named_and_not_shown(
    hf_proxy: HfProxy, findings: Findings, well: ScriptedDaemon, name: str
) -> None:
    found = findings(**{name: REAL})["environment"]
    assert (found["severity"], found["fix"]) == ("warning", f"unset {name}")
    result = hf_proxy("doctor", extra={name: REAL})
    assert REAL not in result.stdout + result.stderr


def test_our_own_credential_in_the_environment_is_none(findings: Findings, well: ScriptedDaemon) -> None:
    assert findings(HF_TOKEN="hf_px_0Ours9", HF_ENDPOINT=ENDPOINT)["environment"]["severity"] == "ok"


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("HUGGINGFACE_CO_STAGING", "overrides hf-proxy's address"),
        ("HF_OIDC_RESOURCE", "makes huggingface_hub fetch another token"),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "keeps huggingface_hub from sending the credential"),
    ],
)
def test_what_outranks_us_is_named(findings: Findings, well: ScriptedDaemon, name: str, effect: str) -> None:
    assert findings(**{name: "1"})["environment"]["measured"] == f"{name} is set in this shell and {effect}"


def test_another_endpoint_is_named_without_its_password(findings: Findings, well: ScriptedDaemon) -> None:
    found = findings(HF_ENDPOINT="https://me:hunter2@mirror.example")["environment"]
    assert "mirror.example" in found["measured"]
    assert "hunter2" not in found["measured"]
    assert found["fix"] == "unset HF_ENDPOINT"


@pytest.mark.parametrize(
    ("place", "extra"),
    [
        (".cache/huggingface/token", {}),
        (".cache/huggingface/stored_tokens", {}),
        (".huggingface/token", {}),
        ("elsewhere/token", {"HF_HOME": "{home}/elsewhere"}),
        ("xdg/huggingface/token", {"XDG_CACHE_HOME": "{home}/xdg"}),
        ("mine", {"HF_TOKEN_PATH": "{home}/mine"}),
    ],
)
def test_a_token_file_of_the_client_is_found(
    findings: Findings, environment: dict[str, str], place: str, extra: dict[str, str]
) -> None:
    home = environment["HOME"]
    file = Path(home) / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(REAL)
    found = findings(**{name: value.format(home=home) for name, value in extra.items()})["token-files"]
    assert found["severity"] == "warning"
    assert str(file) in found["measured"]
    assert found["fix"] == "hf-proxy scan --migrate"


def test_a_token_file_that_was_emptied_is_none(findings: Findings, environment: dict[str, str]) -> None:
    folder = Path(environment["HOME"]) / ".cache/huggingface"
    folder.mkdir(parents=True)
    (folder / "token").write_text("\n")
    (folder / "stored_tokens").write_text("[default]\nhf_token = \n\n")
    assert findings()["token-files"]["severity"] == "ok"


@pytest.mark.parametrize(
    ("netrc", "said"),
    [
        ("machine huggingface.co login me password hunter2\n", "holds a plaintext password for the Hub"),
        ("machine 127.0.0.1 login me password hunter2\n", "has an entry for this machine"),
        ("default login me password hunter2\n", "has an entry for this machine"),
    ],
)
def test_a_netrc_that_comes_before_us_is_found(
    findings: Findings, environment: dict[str, str], netrc: str, said: str
) -> None:
    file = Path(environment["HOME"]) / ".netrc"
    file.write_text(netrc)
    file.chmod(0o600)
    found = findings()["netrc"]
    assert found["severity"] == "warning"
    assert said in found["measured"]
    assert "hunter2" not in found["measured"]


def test_a_netrc_for_other_machines_is_nothing(findings: Findings, environment: dict[str, str]) -> None:
    file = Path(environment["HOME"]) / ".netrc"
    file.write_text("machine git.example login me password x\n")
    file.chmod(0o600)
    assert findings()["netrc"]["severity"] == "ok"


@pytest.mark.needs("git")
class TestGit:
    @pytest.fixture
    def config(self, environment: dict[str, str]) -> Path:
        return Path(environment["HOME"]) / ".gitconfig"

    def test_an_address_that_leads_past_us_is_found(
        self, findings: Findings, config: Path, well: ScriptedDaemon
    ) -> None:
        config.write_text('[url "https://me:hunter2@mirror.example/"]\n\tinsteadOf = https://huggingface.co/me/\n')
        found = findings()["git"]
        assert found["severity"] == "warning"
        assert "https://huggingface.co/me/" in found["measured"]
        assert "hunter2" not in found["measured"]

    def test_a_header_for_the_hub_is_found_and_not_shown(self, findings: Findings, config: Path) -> None:
        config.write_text(f'[http "https://huggingface.co/"]\n\textraHeader = Authorization: Bearer {REAL}\n')
        found = findings()["git"]
        assert (found["severity"], REAL in found["measured"]) == ("warning", False)

    def test_our_own_address_and_other_hosts_are_nothing(
        self, findings: Findings, config: Path, well: ScriptedDaemon
    ) -> None:
        config.write_text(
            f'[url "{ENDPOINT}/"]\n\tinsteadOf = https://huggingface.co/\n'
            '[url "https://mirror.example/"]\n\tinsteadOf = https://git.example/\n'
        )
        assert findings()["git"]["severity"] == "ok"


@pytest.mark.parametrize(
    ("extra", "severity"),
    [
        ({"HTTP_PROXY": "http://proxy:1"}, "warning"),
        ({"all_proxy": "socks5://proxy:1", "NO_PROXY": "localhost"}, "warning"),
        ({"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "example.org, 127.0.0.1"}, "ok"),
        ({"HTTP_PROXY": "http://proxy:1", "no_proxy": "*"}, "ok"),
        ({"HTTPS_PROXY": "http://proxy:1"}, "ok"),
    ],
)
def test_a_proxy_between_programs_and_us(findings: Findings, extra: dict[str, str], severity: str) -> None:
    assert findings(**extra)["proxy"]["severity"] == severity


def test_a_config_that_is_none_is_a_problem(findings: Findings, environment: dict[str, str]) -> None:
    file = Path(environment["HFPROXY_CONFIG_DIR"]) / "config.toml"
    file.write_text("[listen]\nport = 1\n")
    found = findings()["config"]
    assert found["severity"] == "problem"
    assert "unknown key 'listen.port'" in found["measured"]
    assert str(file) in found["fix"]


class TestTheTokens:
    def test_a_classic_token_is_to_be_replaced(self, findings: Findings, well: ScriptedDaemon) -> None:
        self.token(well)["role"] = "write"
        found = findings()["token"]
        assert (found["severity"], found["fix"]) == ("warning", "hf-proxy rotate --account default")
        assert "fine-grained" in found["measured"]

    def test_age_and_end_are_told(self, findings: Findings, well: ScriptedDaemon) -> None:
        self.token(well)["expires_at"] = int(time.time()) + 5 * DAY + 60
        found = findings()
        assert "created 3 days ago" in found["token"]["measured"]
        assert "expires in 5 days" in found["token-end"]["measured"]
        assert found["token-end"]["severity"] == "warning"
        self.token(well)["expires_at"] = int(time.time()) + 90 * DAY + 60
        assert findings()["token-end"]["severity"] == "ok"

    def test_a_dead_one_is_a_problem(self, findings: Findings, well: ScriptedDaemon) -> None:
        self.token(well)["state"] = "dead"
        found = findings()["token"]
        assert (found["severity"], found["fix"]) == ("problem", "hf-proxy login --account default")

    def test_a_hub_out_of_reach_is_a_problem(self, hf_proxy: HfProxy, findings: Findings, well: ScriptedDaemon) -> None:
        why = "https://huggingface.co cannot be reached; check the network, or upstream.hub in config.toml"
        well.answers["doctor"] = {"network": {"origin": "x", "why": why, "ms": None, "skew": None}, "tokens": []}
        found = findings()["upstream"]
        assert (found["severity"], found["measured"]) == ("problem", "https://huggingface.co cannot be reached")
        # Advice, and no command that could be run.
        assert "; check the network, or upstream.hub in config.toml\n" in hf_proxy("doctor").stderr

    @pytest.mark.parametrize(("skew", "severity"), [(0, "ok"), (-3, "ok"), (3600, "warning"), (-86400, "warning")])
    def test_a_clock_that_is_wrong(self, findings: Findings, well: ScriptedDaemon, skew: int, severity: str) -> None:
        examined = well.answers["doctor"]
        assert isinstance(examined, dict)
        examined["network"]["skew"] = skew
        found = findings()["clock"]
        assert found["severity"] == severity
        assert skew == 0 or f"{abs(skew)} s {'ahead' if skew > 0 else 'behind'}" in found["measured"]

    def test_a_locked_vault_and_a_lockdown(self, findings: Findings, well: ScriptedDaemon) -> None:
        status = well.answers["status"]
        assert isinstance(status, dict)
        status["locked"] = True
        assert (findings()["vault"]["severity"], findings()["vault"]["fix"]) == ("warning", "hf-proxy unlock")
        status["lockdown"] = True
        assert findings()["vault"]["severity"] == "problem"

    def test_a_daemon_that_will_not_examine_is_said(self, findings: Findings, well: ScriptedDaemon) -> None:
        well.answers["doctor"] = {"error": "the vault is locked; run: hf-proxy unlock", "code": 1}
        found = findings()["upstream"]
        assert (found["measured"], found["fix"]) == ("the vault is locked", "hf-proxy unlock")

    @staticmethod
    def token(well: ScriptedDaemon) -> dict[str, Any]:
        examined = well.answers["doctor"]
        assert isinstance(examined, dict)
        token: dict[str, Any] = examined["tokens"][0]
        return token


def test_another_version_of_the_daemon_is_to_be_started_anew(findings: Findings, well: ScriptedDaemon) -> None:
    status = well.answers["status"]
    assert isinstance(status, dict)
    status["version"] = "0.0.1"
    assert "the running daemon is 0.0.1" in findings()["versions"]["measured"]


def test_loosened_permissions_are_a_problem(findings: Findings, runtime: Path, well: ScriptedDaemon) -> None:
    (runtime / "control.sock").chmod(0o666)
    found = findings()["control-socket"]
    assert found["severity"] == "problem"
    assert "mode 0666" in found["measured"]
    assert found["fix"].startswith(f"chmod 600 {runtime}/control.sock")


def test_an_abstract_socket_by_our_name_is_a_problem(findings: Findings, well: ScriptedDaemon) -> None:
    (well.directory / "control.sock").chmod(0o600)
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0hf-proxy-{os.getpid()}")
        found = findings()["control-socket"]
    assert (found["severity"], f"@hf-proxy-{os.getpid()}" in found["measured"]) == ("problem", True)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_a_file_that_sudo_left_is_a_problem(findings: Findings, environment: dict[str, str]) -> None:
    file = Path(environment["HFPROXY_STATE_DIR"]) / "journal" / "00000001.jsonl"
    file.parent.mkdir()
    file.write_text("")
    os.chown(file, 65534, 65534)
    found = findings()["foreign-files"]
    assert found["severity"] == "problem"
    assert f"{file} belongs to uid 65534" in found["measured"]


def test_a_journal_that_was_changed_is_a_problem(findings: Findings, environment: dict[str, str]) -> None:
    file = Path(environment["HFPROXY_STATE_DIR"]) / "journal" / "00000001.jsonl"
    file.parent.mkdir()
    file.write_text('{"seq":1,"at":1,"kind":"login","prev":"' + "0" * 64 + '","hash":"' + "1" * 64 + '"}\n')
    found = findings()["journal"]
    assert found["severity"] == "problem"
    assert "does not verify" in found["measured"]


def test_a_path_on_which_nobody_can_put_anything(
    hf_proxy: HfProxy, well: ScriptedDaemon, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Only where it is looked for: after our own program nobody looks any further."""
    if os.getuid() == 0:
        safe = "/proc/sys"
    else:
        safe = "/usr/bin"
    python = Path(shutil.which("python3") or "").parent
    report = json.loads(hf_proxy("doctor", "--json", extra={"PATH": f"{safe}"}).stdout)
    assert {one["attack"]: one["got"] for one in report["isolation"]}["path"] == "nothing"
    report = json.loads(hf_proxy("doctor", "--json", extra={"PATH": f"{tmp_path}:{python}"}).stdout)
    path = next(one for one in report["isolation"] if one["attack"] == "path")
    assert (path["got"], str(tmp_path) in path["measured"]) == ("the token, once the passphrase is typed", True)
    assert list(tmp_path.glob("hf-proxy")) == []


def test_what_was_not_measured_is_not_called_good() -> None:
    """As on a system where nothing of this can be tried."""
    attacks = ("keyring", "environ", "mem", "ptrace", "core", "socket", "config", "path")
    attempts = [AttackResult(attack, AttackOutcome.UNKNOWN, "not measured here") for attack in attacks]
    found = isolation.attack_results(attempts, Mode.USER)
    assert {one.severity for one in found} == {Severity.INFO}
    assert {one.measured for one in found} == {"not measured here"}


class TestInTheClear:
    def test_files_are_counted_and_the_first_is_named(self, findings: Findings, environment: dict[str, str]) -> None:
        home = Path(environment["HOME"])
        (home / ".bashrc").write_text(f"export HF_TOKEN={REAL}\n")
        (home / ".git-credentials").write_text(f"https://me:{REAL}@huggingface.co\n")
        found = findings()["clear-files"]
        assert (found["severity"], found["fix"]) == ("warning", "hf-proxy scan --migrate")
        assert f"2 files hold a plaintext token, the first: {home}/.bashrc" in found["measured"]
        assert REAL not in str(found)

    def test_a_home_without_any_is_fine(self, findings: Findings) -> None:
        assert findings()["clear-files"]["severity"] == "ok"

    def test_a_program_that_was_given_one_is_named(self, findings: Findings) -> None:
        given = {"PATH": os.environ["PATH"], "HF_TOKEN": REAL}
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=given) as program:
            program.stdin.write(b"begun\n")
            program.stdin.flush()
            program.stdout.readline()
            found = findings()["clear-programs"]
        assert found["severity"] == "warning"
        assert "cat" in found["measured"]
        assert REAL not in str(found)


def test_its_help_and_mistakes(hf_proxy: HfProxy) -> None:
    assert "--json" in done(hf_proxy("doctor", "--help"))
    assert "no option '--fix'" in failed(hf_proxy("doctor", "--fix"), 2)
