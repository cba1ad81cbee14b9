"""The daemon as a user of its own, which serves the members of a group: what is whose, and who can do what to whom.

Real users, real processes, on a machine of their own (`machine.py`).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from canary import leaks, made_up
from fakehub import FakeHub
from fixtures import seeded
from daemon_fixture import HFPROXY, PYTHON
from machine import CONFIG, DAEMON, GROUP, MEMBERS, OUTSIDER, PLACES, RUNTIME, STATE, Machine
from unit.daemon.runtime.test_hardening import LOOK, WAYS

pytestmark = [pytest.mark.needs("unshare", "nsenter", "setpriv", "useradd", "gpasswd")]

ALICES, BOBS = made_up(), made_up()
ALICE, BOB = MEMBERS
SECRET = {ALICE: "/api/models/alice/secret", BOB: "/api/models/bob/secret"}
FILES = ("/alice/secret/resolve/main/config.json", "/alice/secret.git/info/refs?service=git-upload-pack")

# One request; prints status, refusal, and the body.
ASK = """
import http.client, sys, urllib.parse
endpoint, method, target, credential = sys.argv[1:]
connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=20)
headers = {"Authorization": f"Bearer {credential}"} if credential else {}
connection.request(method, target, headers=headers)
answer = connection.getresponse()
print(answer.status, answer.headers.get("X-HF-Proxy-Refusal"))
print(answer.read().decode())
"""
SAY = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
answer = ""
try:
    connection.sendall(sys.argv[2].encode() + b"\\n")
    answer = connection.makefile().read()
except ConnectionError:
    pass
print("answer:", answer)
"""
# Where a token is that is given in two halves.
FIND = f"""
import glob, os, sys
token = "".join(sys.argv[1:]).encode()
files = [os.path.join(folder, name) for top in ("/run", {CONFIG!r}, "/var/lib") for folder, _, names in os.walk(top)
         for name in names]
for path in [*files, *glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if token in file.read():
                print(path)
    except OSError:
        pass
print("looked")
"""

# A service manager: root listens on both sockets, and hands them to the daemon once it is told to.
MANAGER = f"""
import os, pwd, socket, sys
user = pwd.getpwnam({DAEMON!r})
control, data = socket.socket(socket.AF_UNIX), socket.socket()
os.umask(0o117)
control.bind({RUNTIME + "/control.sock"!r})
os.chown({RUNTIME + "/control.sock"!r}, user.pw_uid, user.pw_gid)
data.bind(("127.0.0.1", 0))
for number, one in enumerate((control, data)):
    one.listen()
    os.dup2(os.dup(one.fileno()), 13 + number)
print("listening", flush=True)
sys.stdin.readline()
for number in (3, 4):
    os.dup2(10 + number, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="control:data")
os.initgroups(user.pw_name, user.pw_gid)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[1], sys.argv[1:])
"""

OWN_CONFIG = """
mkdir -p ~/.config/hf-proxy
printf '[listen]\\naddress = "127.0.0.1:0"\\n[vault]\\nbackend = "memory"\\n' > ~/.config/hf-proxy/config.toml
"""


def seed(hub: FakeHub) -> None:
    """Two users of the Hub, who are two users of the machine."""
    hub.add_user("alice", ALICES)
    hub.add_user("bob", BOBS)
    for name in MEMBERS:
        hub.add_repo("model", f"{name}/secret", private=True, files={"config.json": b"{}"})


@pytest.fixture(scope="module")
def furnished() -> Iterator[Machine]:
    if os.getuid() != 0:
        pytest.skip("needs root, to make users and a mount namespace")
    with seeded() as hub:
        machine = Machine(hub.url, hub.ca_path.read_bytes())
    yield machine
    machine.close()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with seeded(seed) as hub:
        yield hub


@pytest.fixture
def machine(furnished: Machine, hub: FakeHub) -> Iterator[Machine]:
    """A dedicated daemon that nobody has logged in to."""
    machine = furnished
    machine.file(f"{CONFIG}/ca.pem").write_bytes(hub.ca_path.read_bytes())
    machine.configure(hub.url)
    machine.start()
    yield machine
    machine.forget()


@pytest.fixture
def both(machine: Machine, hub: FakeHub) -> Machine:
    """... and to which both members have brought their token, under the same name."""
    for user, token in ((ALICE, ALICES), (BOB, BOBS)):
        machine.must(user, "login", "--token-stdin", stdin=token)
    hub.recorder.clear()
    return machine


def ask(machine: Machine, user: str, minted: dict[str, str], target: str, method: str = "GET") -> tuple[str, str]:
    """(status and refusal, body) of a request by a process of a user."""
    said = machine.python(user, ASK, minted["endpoint"], method, target, minted["credential"])
    head, _, body = said.partition("\n")
    return head, body


def refused(machine: Machine, user: str, *words: str, stdin: str = "") -> str:
    """What is said to a command that fails; nothing is on its stdout."""
    done = machine.cli(user, *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


class TestEachHasTheirOwn:
    def test_accounts_of_the_same_name_with_a_token_each(self, both: Machine, hub: FakeHub) -> None:
        for user, token, other in ((ALICE, ALICES, BOBS), (BOB, BOBS, ALICES)):
            (account,) = both.says(user, "accounts")
            assert (account["name"], account["user"]) == ("default", user)
            assert [one["user"] for one in both.says(user, "status")["accounts"]] == [user]
            hub.recorder.clear()
            minted = both.says(user, "mint", "--scope", "read")
            assert ask(both, user, minted, SECRET[user])[0] == "200 None"
            assert hub.saw(token.encode())
            assert not hub.saw(other.encode())
            assert json.loads(ask(both, user, minted, "/api/whoami-v2")[1])["name"] == user

    def test_a_login_or_logout_touches_the_account_of_who_asks(self, both: Machine, hub: FakeHub) -> None:
        both.must(BOB, "login", "--token-stdin", "--account", "default", stdin=BOBS)
        assert [one["user"] for one in both.says(ALICE, "accounts")] == ["alice"]
        both.must(BOB, "logout")
        assert "no account" in refused(both, BOB, "mint")
        assert both.says(ALICE, "mint")["credential"]

    def test_another_user_s_account_is_not_to_be_had_by_its_name(self, both: Machine) -> None:
        both.must(ALICE, "login", "--token-stdin", "--account", "work", stdin=ALICES)
        for words in (("mint", "--account", "work"), ("logout", "--account", "work")):
            assert "no account 'work'" in refused(both, BOB, *words)
        assert len(both.says(ALICE, "accounts")) == 2

    def test_only_the_owner_s_tokens_are_spent(self, machine: Machine, hub: FakeHub) -> None:
        """They are of the same user of the Hub, so that within one owner the weaker one would be chosen."""
        reader = made_up()
        hub.add_user("bob", reader, role="read")
        machine.must(ALICE, "login", "--token-stdin", stdin=reader)
        machine.must(BOB, "login", "--token-stdin", stdin=BOBS)
        minted = machine.says(BOB, "mint", "--scope", "read")
        hub.recorder.clear()
        assert ask(machine, BOB, minted, SECRET[BOB])[0] == "200 None"
        assert hub.saw(BOBS.encode())
        assert not hub.saw(reader.encode())

    def test_what_is_replaced_in_an_environment_is_one_s_own_token(self, both: Machine) -> None:
        """Else anybody could have it told to them whether a string is somebody's token."""
        env = {"MINE": BOBS, "FOREIGN": ALICES}
        shown = json.loads(
            both.must(
                BOB, "exec", "--", "python3", "-c", "import os,json; print(json.dumps(dict(os.environ)))", env=env
            )
        )
        assert shown["MINE"].startswith("hf_px_")
        assert shown["FOREIGN"] == ALICES

    def test_grants_that_nobody_else_sees_renews_or_revokes(self, both: Machine) -> None:
        hers, his = both.says(ALICE, "mint", "--label", "hers"), both.says(BOB, "mint")
        assert [grant["id"] for grant in both.says(BOB, "grants")] == [his["id"]]
        assert both.says(BOB, "status")["grants"] == 1
        for words in (("renew", hers["id"], "--ttl", "2h"), ("revoke", hers["id"]), ("revoke", his["id"], hers["id"])):
            assert f"no living grant '{hers['id']}'" in refused(both, BOB, *words)
        assert both.must(BOB, "revoke", "--all") == f"revoked: {his['id']}\n"
        assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "200 None"
        assert ask(both, BOB, his, SECRET[BOB])[0] == "401 revoked"

    def test_a_journal_that_says_nothing_of_the_others(self, both: Machine) -> None:
        hers = both.says(ALICE, "mint", "--label", "of-alice", "--scope", "read:alice/*")
        ask(both, ALICE, hers, SECRET[ALICE])
        ask(both, ALICE, hers, SECRET[BOB])
        both.must(ALICE, "revoke", hers["id"])
        his = both.says(BOB, "mint")
        told = both.audit(BOB)
        assert {entry["kind"] for entry in told} == {"login", "minted"}
        assert told[-1]["grant"] == his["id"]
        assert "alice" not in json.dumps(told)
        assert both.audit(BOB, "--grant", hers["id"]) == []
        report = both.must(BOB, "audit", "report", "--json")
        assert "alice" not in report
        assert hers["id"] not in report
        kinds = [entry["kind"] for entry in both.audit(ALICE)]
        assert kinds == ["login", "minted", "decided", "completed", "decided", "completed", "revoked"]
        assert {entry["uid"] for entry in both.audit(ALICE)} == {int(both.run(ALICE, "id", "-u").stdout)}

    def test_root_sees_and_ends_everything_and_spends_nothing(self, both: Machine) -> None:
        minted = {user: both.says(user, "mint") for user in MEMBERS}
        uids = {user: int(both.run(user, "id", "-u").stdout) for user in MEMBERS}
        ids = {one["id"] for one in minted.values()}
        shown = {grant["id"]: grant["uid"] for grant in both.says("root", "grants")}
        assert shown == {minted[user]["id"]: uids[user] for user in MEMBERS}
        ask(both, ALICE, minted[ALICE], SECRET[ALICE])
        (account,) = json.loads(both.must("root", "audit", "report", "--json"))["accounts"]
        assert account["account"] == f"default (uid {uids[ALICE]})"
        assert {entry.get("grant") for entry in both.audit("root")} >= ids
        assert both.says("root", "accounts") == []
        assert "there is no account yet" in refused(both, "root", "mint")
        both.must("root", "revoke", "--all")
        assert both.says(ALICE, "grants") == both.says(BOB, "grants") == []

    def test_all_of_it_after_a_restart(self, both: Machine, hub: FakeHub) -> None:
        """The vault of this test is empty then, and a request without its account is refused."""
        hers = both.says(ALICE, "mint", "--ttl", "1h")
        both.stop()
        both.start()
        assert [grant["id"] for grant in both.says(ALICE, "grants")] == [hers["id"]]
        assert both.says(BOB, "grants") == []
        assert ask(both, BOB, hers, SECRET[ALICE])[0] == "403 peer"
        assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "403 account"
        assert [entry["kind"] for entry in both.audit(BOB)] == ["login"]


class TestAStolenCredential:
    def test_is_refused_to_another_member(self, both: Machine, hub: FakeHub) -> None:
        hers = both.says(ALICE, "mint", "--scope", "write")
        for target in (SECRET[ALICE], "/api/whoami-v2", "/api/agent-harnesses", *FILES):
            head, body = ask(both, BOB, hers, target)
            assert head == "403 peer", (target, body)
            assert ALICES not in body
        assert hub.requests == []
        assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "200 None"

    def test_is_told_to_whom_it_was_stolen_from_and_to_nobody_else(self, both: Machine) -> None:
        hers = both.says(ALICE, "mint")
        for _ in range(3):
            ask(both, BOB, hers, SECRET[ALICE])
        both.stop()
        both.start()
        told = [entry for entry in both.audit(ALICE) if entry["kind"] == "denied_unknown"]
        assert [(entry["refusal"], entry["count"]) for entry in told] == [("peer", 3)]
        assert not [entry for entry in both.audit(BOB) if entry["kind"] == "denied_unknown"]

    def test_of_a_command_is_worth_nothing_to_another_user_that_it_starts(self, both: Machine, hub: FakeHub) -> None:
        """As under sudo: the environment is handed on, and with it the credential."""
        as_root = ["python3", "-c", ASK]
        shell = 'exec "$@" "$HF_ENDPOINT" GET /api/models/bob/secret "$HF_TOKEN"'
        minted = both.says(BOB, "mint")
        env = {"HF_TOKEN": minted["credential"], "HF_ENDPOINT": minted["endpoint"]}
        assert both.run("root", "sh", "-c", shell, "sh", *as_root, env=env).stdout.startswith("403 peer")
        assert both.run(BOB, "sh", "-c", shell, "sh", *as_root, env=env).stdout.startswith("200 None")

    def test_nothing_and_something_unknown_are_refused_to_a_member_as_ever(self, both: Machine) -> None:
        endpoint = both.says(BOB, "status")["endpoint"]
        for credential, head in (("", "401 no_credential"), ("hf_px_nobody", "401 unknown_credential")):
            assert ask(both, BOB, {"endpoint": endpoint, "credential": credential}, SECRET[BOB])[0] == head


class TestWhoIsNoMember:
    def test_does_not_reach_the_control_socket(self, machine: Machine) -> None:
        assert "PermissionError" in machine.python(OUTSIDER, SAY, f"{RUNTIME}/control.sock", '{"do":"status"}')
        said = refused(machine, OUTSIDER, "status")
        assert "members" in said
        assert "usermod -aG hf-proxy" in said

    def test_is_not_heard_there_with_all_doors_open(self, machine: Machine) -> None:
        machine.run("root", "chmod", "755", RUNTIME)
        machine.run("root", "chmod", "666", f"{RUNTIME}/control.sock")
        try:
            assert machine.python(OUTSIDER, SAY, f"{RUNTIME}/control.sock", '{"do":"status"}') == "answer: \n"
            assert "pid" in machine.python(ALICE, SAY, f"{RUNTIME}/control.sock", '{"do":"status"}')
        finally:
            machine.run("root", "chmod", "750", RUNTIME)

    def test_is_refused_at_the_port_whatever_the_credential(self, both: Machine, hub: FakeHub) -> None:
        hers = both.says(ALICE, "mint")
        for target in (SECRET[ALICE], "/api/agent-harnesses"):
            for minted in (hers, {**hers, "credential": ""}):
                assert ask(both, OUTSIDER, minted, target)[0] == "403 peer"
        assert hub.requests == []

    def test_is_who_was_put_out_of_the_group(self, both: Machine, hub: FakeHub) -> None:
        his = both.says(BOB, "mint")
        both.stop()
        both.run("root", "gpasswd", "--delete", BOB, GROUP)
        try:
            both.start()
            assert ask(both, BOB, his, SECRET[BOB])[0] == "403 peer"
            assert "members" in refused(both, BOB, "grants")
        finally:
            both.run("root", "gpasswd", "--add", BOB, GROUP)


class TestProcesses:
    def test_a_tree_cannot_be_looked_into_and_exec_says_so(self, both: Machine) -> None:
        for words in (("--bind", "tree"), ("--bind", "tree", "--ambient")):
            done = both.cli(ALICE, "exec", *words, "--", "true")
            assert (done.returncode, done.stdout) == (125, "")
            assert "--bind tree cannot work here" in done.stderr
            assert "--bind pid" in done.stderr
        assert both.says(ALICE, "grants") == []

    def test_a_grant_ends_with_the_command_of_another_user_than_the_daemon_s(self, both: Machine) -> None:
        code = f"import os,subprocess; print(os.environ['HF_TOKEN'], flush=True); subprocess.run({[*HFPROXY, 'grants', '--json']})"
        bearer, _, inside = both.must(ALICE, "exec", "--", "python3", "-c", code).partition("\n")
        (grant,) = json.loads(inside)
        assert (grant["bind"], grant["program"]) == ("pid", "python3")
        endpoint = both.says(ALICE, "status")["endpoint"]
        while both.says(ALICE, "grants"):
            pass
        assert ask(both, ALICE, {"endpoint": endpoint, "credential": bearer}, SECRET[ALICE])[0] == "401 revoked"

    def test_from_inside_of_a_grant_one_can_only_ask_for_less(self, both: Machine) -> None:
        code = f"import subprocess; subprocess.run({[*HFPROXY, 'mint', '--json', '--scope', 'write']}); " + (
            f"subprocess.run({[*HFPROXY, 'lock']})"
        )
        done = both.cli(ALICE, "exec", "--scope", "read:alice/*", "--", "python3", "-c", code)
        child = json.loads(done.stdout.splitlines()[0])
        assert "inside of grant" in done.stderr
        minted = [entry for entry in both.audit(ALICE) if entry["kind"] == "minted"]
        assert [entry.get("parent") for entry in minted] == [None, minted[0]["grant"]]
        assert minted[1]["grant"] == child["id"]

    def test_nobody_narrows_another_user(self, both: Machine) -> None:
        """By a grant that is bound to a process which all processes of this test descend from."""
        hers = both.says(ALICE, "mint")
        assert "the process to bind the grant to is not yours" in refused(both, ALICE, "mint", "--bind", "pid")
        assert both.says(BOB, "accounts")
        his = both.says(BOB, "mint")
        assert {grant["id"]: grant["parent"] for grant in both.says(BOB, "grants")} == {his["id"]: None}
        both.must(BOB, "revoke", "--all")
        assert hers["id"] in {grant["id"] for grant in both.says(ALICE, "grants")}

    def test_where_the_daemon_cannot_see_who_asks_it_serves_nobody(self, both: Machine) -> None:
        assert both.run("root", "mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc").returncode == 0
        try:
            assert "cannot see your processes" in refused(both, ALICE, "mint")
        finally:
            both.run("root", "umount", "/proc")
        assert both.says(ALICE, "mint")["credential"]


class TestTheDaemonItself:
    def test_cannot_be_looked_into_or_ended_by_a_member(self, both: Machine) -> None:
        assert both.process is not None
        both.says(ALICE, "mint")
        said = both.python(ALICE, LOOK, str(both.process.pid), str(id(both)))
        ways = dict(line.split(" ", 1) for line in said.splitlines())
        assert set(ways) == set(WAYS), said
        assert "open" not in ways.values()
        kill = "import os,sys,signal\nfor n in (0, 9, 15, 19): \n try: os.kill(int(sys.argv[1]), n); print('sent')\n except PermissionError: print('no')"
        assert both.python(ALICE, kill, str(both.process.pid)).split() == ["no"] * 4
        assert both.process.poll() is None

    def test_keeps_its_files_from_the_members(self, both: Machine) -> None:
        for code in (
            f"import os; os.listdir({STATE!r})",
            f"open({STATE + '/journal/00000001.jsonl'!r})",
            f"open({RUNTIME + '/mine'!r}, 'w')",
            f"import os; os.unlink({RUNTIME + '/control.sock'!r})",
            f"import os; os.rename({RUNTIME!r}, '/run/away')",
            f"open({CONFIG + '/config.toml'!r}, 'a')",
        ):
            assert "PermissionError" in both.python(ALICE, code), code

    def test_a_sealed_vault_s_token_is_nowhere_that_a_member_can_read(self, machine: Machine, hub: FakeHub) -> None:
        machine.forget()
        machine.configure(hub.url, vault="sealed-file")
        machine.start()
        assert "locked" in refused(machine, ALICE, "login", "--token-stdin", stdin=ALICES)
        machine.must(ALICE, "unlock", "--passphrase-fd", "0", stdin="correct horse battery")
        machine.must(ALICE, "login", "--token-stdin", stdin=ALICES)
        minted = machine.says(ALICE, "mint")
        assert ask(machine, ALICE, minted, SECRET[ALICE])[0] == "200 None"
        assert machine.python(ALICE, FIND, ALICES[:20], ALICES[20:]) == "looked\n"
        assert leaks(machine.file(f"{STATE}/vault.sealed").read_bytes(), ALICES) == []

    def test_its_socket_and_directory_are_for_the_group(self, machine: Machine) -> None:
        socket = machine.file(f"{RUNTIME}/control.sock").stat()
        group = machine.run("root", "getent", "group", GROUP).stdout.split(":")[2]
        assert (socket.st_mode & 0o777, socket.st_gid) == (0o660, int(group))
        assert machine.says(ALICE, "status")["dedicated"] is True

    def test_a_socket_of_the_service_manager_is_used_and_trusted(self, machine: Machine) -> None:
        """Root listens until the daemon runs, and who connects meanwhile is served then."""
        machine.stop()
        command = machine.command("root", [PYTHON, "-I", "-c", MANAGER, *HFPROXY, "daemon"])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=PLACES, **pipes) as process:  # type: ignore[call-overload]
            assert process.stdout.readline() == "listening\n"
            status = machine.command(ALICE, [*HFPROXY, "status", "--json"])
            with subprocess.Popen(status, env={"HOME": "/run/home/alice"}, **pipes) as early:  # type: ignore[call-overload]
                process.stdin.write("\n")
                process.stdin.flush()
                assert json.loads(early.communicate(timeout=30)[0])["dedicated"] is True
            assert machine.says(BOB, "status")["dedicated"] is True
            process.terminate()
        machine.run("root", "rm", "-f", f"{RUNTIME}/control.sock")

    def test_a_place_where_others_could_have_put_it_is_not_trusted(self, machine: Machine) -> None:
        machine.run("root", "chmod", "777", "/run")
        try:
            assert "belongs to uid" in refused(machine, ALICE, "login", "--token-stdin", stdin=ALICES)
        finally:
            machine.run("root", "chmod", "755", "/run")

    def test_a_daemon_of_one_s_own_comes_first(self, machine: Machine) -> None:
        """It takes no place of the machine's, and is asked as long as it is there."""
        session = {"XDG_RUNTIME_DIR": "/run/home/alice/session"}
        machine.run(ALICE, "mkdir", "-m", "700", session["XDG_RUNTIME_DIR"])
        mine = ["env", "-C", "/", "HOME=/run/home/alice", *(f"{name}={value}" for name, value in session.items())]
        machine.run(ALICE, "sh", "-c", OWN_CONFIG)
        with subprocess.Popen(machine.command(ALICE, [*mine, *HFPROXY, "daemon"]), stderr=subprocess.PIPE) as own:
            assert own.stderr is not None
            assert b"ready" in own.stderr.readline()
            status = json.loads(machine.must(ALICE, "status", "--json", env=session))
            assert (status["pid"], status["dedicated"]) == (own.pid, False)
            assert machine.says(BOB, "status")["dedicated"] is True
            own.terminate()
        assert json.loads(machine.must(ALICE, "status", "--json", env=session))["dedicated"] is True
        assert "compared with the daemon: no" in machine.must(ALICE, "audit", "verify", env=session)
        named = machine.cli(ALICE, "status", env={"HFPROXY_RUNTIME_DIR": session["XDG_RUNTIME_DIR"]})
        assert "no daemon is running at /run/home/alice/session" in named.stderr


class TestTheBadDay:
    def test_of_one_member_leaves_the_others_alone(self, both: Machine, hub: FakeHub) -> None:
        hers, his = both.says(ALICE, "mint"), both.says(BOB, "mint")
        plan = both.must(ALICE, "lockdown", "--dry-run", "--revoke-upstream")
        assert hers["id"] in plan
        assert his["id"] not in plan
        assert "bob" not in plan
        done = both.must(ALICE, "lockdown", "--yes")
        assert f"ended: {hers['id']}" in done
        assert his["id"] not in done
        for _ in range(2):  # also for the daemon that comes next
            assert both.says(ALICE, "status")["lockdown"] is True
            assert both.says(BOB, "status")["lockdown"] is False
            assert "hf-proxy unlock" in refused(both, ALICE, "mint")
            assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "401 revoked"
            both.stop()
            both.start()
            both.must(BOB, "login", "--token-stdin", stdin=BOBS)
            assert both.says(BOB, "mint")["credential"]
        both.must(BOB, "unlock")
        assert both.says(ALICE, "status")["lockdown"] is True
        both.must(ALICE, "unlock")
        both.must(ALICE, "login", "--token-stdin", stdin=ALICES)
        assert both.says(ALICE, "mint")["credential"]

    def test_of_one_member_revokes_their_token_at_the_hub_and_no_other(self, both: Machine, hub: FakeHub) -> None:
        done = both.must(ALICE, "lockdown", "--yes", "--revoke-upstream")
        assert "revoked at the Hub: the token of account default" in done
        assert hub.saw(ALICES.encode())
        assert not hub.saw(BOBS.encode())
        his = both.says(BOB, "mint")
        assert ask(both, BOB, his, SECRET[BOB])[0] == "200 None"

    def test_of_root_is_everybody_s_and_root_s_to_lift(self, both: Machine) -> None:
        ids = {both.says(user, "mint")["id"] for user in MEMBERS}
        done = both.must("root", "lockdown", "--yes")
        assert all(f"ended: {one}" in done for one in ids)
        assert "sudo hf-proxy unlock" in refused(both, BOB, "unlock")
        for user in MEMBERS:
            assert both.says(user, "status")["locked"] is True
            assert "hf-proxy unlock" in refused(both, user, "mint")
        both.must("root", "unlock")
        assert both.says(BOB, "mint")["credential"]

    def test_any_member_may_lock_the_vault_that_all_share(self, both: Machine) -> None:
        hers = both.says(ALICE, "mint")
        both.must(BOB, "lock")
        assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "403 locked"
        both.must(ALICE, "unlock")
        assert ask(both, ALICE, hers, SECRET[ALICE])[0] == "200 None"
        assert [entry["kind"] for entry in both.audit("root") if entry["kind"] in {"lock", "unlock"}] == [
            "lock",
            "unlock",
        ]

    def test_a_token_is_rotated_by_its_owner_alone(self, both: Machine, hub: FakeHub) -> None:
        fresh = made_up()
        hub.add_user("bob", fresh)
        his = both.says(BOB, "mint")
        both.must(BOB, "rotate", "--token-stdin", "--no-browser", stdin=fresh)
        hub.recorder.clear()
        assert ask(both, BOB, his, SECRET[BOB])[0] == "200 None"
        assert hub.saw(fresh.encode())
        (account,) = both.says(ALICE, "accounts")
        assert account["user"] == "alice"
        assert "rotated" not in {entry["kind"] for entry in both.audit(ALICE)}


def test_the_journal_of_all_verifies(both: Machine) -> None:
    for user in MEMBERS:
        ask(both, user, both.says(user, "mint"), SECRET[user])
    done = both.run("root", *HFPROXY, "audit", "verify", env={"HFPROXY_STATE_DIR": STATE})
    assert done.returncode == 0, done.stderr
    assert "compared with the daemon: yes" in done.stdout
    assert "authenticity: " in done.stdout
    assert "sudo" in refused(both, ALICE, "audit", "verify")
    assert both.must(ALICE, "audit", "anchor").strip() in done.stdout


@pytest.mark.needs("git")
def test_git_finds_its_way(both: Machine) -> None:
    git = shutil.which("git") or ""
    endpoint = both.says(BOB, "status")["endpoint"].removeprefix("http://")
    helper = " ".join([*HFPROXY, "git-credential"])
    done = both.run(
        BOB,
        git,
        "-c",
        f"credential.helper=!{helper}",
        "credential",
        "fill",
        stdin=f"protocol=http\nhost={endpoint}\n\n",
    )
    assert "password=hf_px_" in done.stdout, done.stderr
