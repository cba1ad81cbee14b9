"""The listener for containers (docs/threat-model.md#t19), with what a container engine makes: a bridge, and a network
namespace behind it.

Each of the programs in there is of another user, has no way to this machine but the bridge, and cannot be told apart.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import ask, bearer

OTHER = 65534
INFO = "/api/models/me/secret-model"
# Of the block for benchmarks of networks (RFC 2544): nobody's. Not private, so it does for the network outside.
OUTSIDE = "198.18.77"
INSIDE = "10.213.77"
PORT = 4881
AT = f"{INSIDE}.1:{PORT}"

pytestmark = [
    pytest.mark.needs("ip", "setpriv", "curl"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a network namespace"),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """A namespace at the far end of a cable. With `bridge` this end is plugged into one, which has the address."""

    def __init__(self, name: str, net: str, *, bridge: bool) -> None:
        self.name, self.near = name, f"{name}b" if bridge else f"{name}v"
        ip("netns", "add", name)
        ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
        if bridge:
            ip("link", "add", self.near, "type", "bridge")
            ip("link", "set", f"{name}v", "master", self.near, "up")
        ip("address", "add", f"{net}.1/24", "dev", self.near)
        ip("link", "set", self.near, "up")
        for words in (
            f"address add {net}.2/24 dev eth0",
            "link set eth0 up",
            "link set lo up",
            f"route add default via {net}.1",
        ):
            ip("-n", name, *words.split())

    def close(self) -> None:
        """Take it away; the cable goes with the namespace."""
        subprocess.run(["ip", "netns", "delete", self.name], check=False)
        subprocess.run(["ip", "link", "delete", self.near], check=False, capture_output=True)

    def run(
        self, *command: str, env: dict[str, str] | None = None, uid: int = OTHER
    ) -> subprocess.CompletedProcess[str]:
        """Run something in there, as another user."""
        switched = ["setpriv", f"--reuid={uid}", "--clear-groups", *command]
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *switched], env=env, capture_output=True, text=True, timeout=60
        )

    def curl(self, *words: str, credential: str | None = None) -> tuple[int, str]:
        """The status that came, 0 for none, and the body."""
        header = [] if credential is None else ["-H", f"Authorization: Bearer {credential}"]
        done = self.run("curl", "-s", "--noproxy", "*", "-m", "10", "-w", r"\n%{http_code}", *header, *words)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


@pytest.fixture
def container() -> Iterator[Network]:
    network = Network(f"hfp{os.getpid()}", INSIDE, bridge=True)
    yield network
    network.close()


@pytest.fixture
def daemon(container: Network, hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    listens(daemon, AT)
    daemon.start()
    daemon.login(CANARY)
    hub.recorder.clear()
    yield daemon
    daemon.stop()


def listens(daemon: DaemonFixture, bridge: str) -> None:
    daemon.configure()
    file = daemon.config / "config.toml"
    file.write_text(file.read_text().replace("[upstream]", f'bridge = "{bridge}"\n[upstream]'))


def refusal(body: str) -> str:
    return str(json.loads(body)["refusal"])


def test_a_grant_for_containers_is_good_in_one(daemon: DaemonFixture, container: Network, hub: FakeHub) -> None:
    assert daemon.status()["bridge"] == f"http://{AT}"
    minted = daemon.mint("--container", "--scope", "read:me/secret-model")
    assert minted["endpoint"] == f"http://{AT}"
    status, body = container.curl(f"http://{AT}{INFO}", credential=minted["credential"])
    assert (status, json.loads(body)["id"]) == (200, "me/secret-model")
    assert len(hub.requests) == 1
    status, body = container.curl("-X", "DELETE", f"http://{AT}{INFO}/branch/main", credential=minted["credential"])
    assert (status, refusal(body)) == (403, "scope")
    [grant] = json.loads(daemon.must("grants", "--json"))
    assert grant["container"] is True
    assert [entry for entry in daemon.audit() if entry["kind"] == "minted"][0]["container"] is True


def test_no_other_grant_is(daemon: DaemonFixture, container: Network, hub: FakeHub) -> None:
    stolen = daemon.mint("--scope", "read:me/secret-model")
    status, body = container.curl(f"http://{AT}{INFO}", credential=stolen["credential"])
    assert (status, refusal(body)) == (403, "holder")
    assert "hf-proxy exec --container" in json.loads(body)["error"]
    assert hub.requests == []
    assert daemon.audit("--denied", "--grant", stolen["id"])[0]["refusal"] == "holder"


def test_a_grant_for_containers_is_good_nowhere_else(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted, endpoint = daemon.mint("--container"), daemon.status()["endpoint"]
    assert ask(endpoint, "GET", INFO, bearer(minted["credential"])).refusal == "holder"
    as_other = ["setpriv", f"--reuid={OTHER}", "--clear-groups", "curl", "-s", "--noproxy", "*"]
    authorization = f"Authorization: Bearer {minted['credential']}"
    reply = subprocess.run(
        [*as_other, "-H", authorization, endpoint + INFO], capture_output=True, text=True, timeout=30
    )
    assert refusal(reply.stdout) == "peer"
    assert hub.requests == []


@pytest.mark.parametrize("uid", [0, OTHER])
def test_a_program_of_this_machine_is_no_container(
    daemon: DaemonFixture, container: Network, hub: FakeHub, uid: int
) -> None:
    """Whatever address it comes from: Linux lets it choose any that the machine has."""
    credential = daemon.mint("--container")["credential"]
    for source in (f"{INSIDE}.1", "127.0.0.1", "127.1.2.3"):
        words = [
            "curl",
            "-s",
            "-m",
            "2",
            "--noproxy",
            "*",
            "--interface",
            source,
            "-H",
            f"Authorization: Bearer {credential}",
        ]
        reply = subprocess.run(
            ["setpriv", f"--reuid={uid}", "--clear-groups", *words, f"http://{AT}{INFO}"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (reply.returncode, reply.stdout) == (28, "") or refusal(reply.stdout) == "peer", reply
    assert hub.requests == []
    assert container.curl(f"http://{AT}{INFO}", credential=credential)[0] == 200


def test_a_neighbour_of_the_machine_cannot_connect(daemon: DaemonFixture, container: Network) -> None:
    """Another network, whose machines send packets for the bridge's address to this one, which has it."""
    neighbour = Network(f"hfq{os.getpid()}", OUTSIDE, bridge=False)
    try:
        assert neighbour.run("curl", "-s", "-m", "3", f"http://{OUTSIDE}.1:{PORT}/").returncode == 7
        assert neighbour.run("curl", "-s", "-m", "3", f"http://{AT}/").returncode == 7, "refused, and not let in"
        assert container.curl(f"http://{AT}/")[0] == 401
    finally:
        neighbour.close()


UNASKED = (
    [INFO],
    ["/"],
    ["/no/such/route/at/all"],
    ["-H", "Accept: text/html", "/me/secret-model"],
    ["-d", "{}", "-H", "Content-Type: application/json", "/api/validate-yaml"],
    ["-I", "/api/telemetry/x"],
    ["/api/whoami-v2"],
    ["/api/models/me/secret-model/jwt"],
    ["/me/secret-model.git/info/refs?service=git-upload-pack"],
)


def test_without_a_credential_nothing_is_said_and_nothing_is_done(
    daemon: DaemonFixture, container: Network, hub: FakeHub
) -> None:
    version = daemon.status()["version"]
    for *options, target in UNASKED:
        status, said = container.curl("-i", *options, f"http://{AT}{target}")
        assert (status, "no credential" in said) == (401, True), target
        assert version not in said and hub.url not in said, target
    assert hub.requests == []


def test_the_host_is_this_address_exactly(daemon: DaemonFixture, container: Network, hub: FakeHub) -> None:
    port = daemon.status()["endpoint"].rpartition(":")[2]
    credential = daemon.mint("--container")["credential"]
    others = (
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        f"localhost:{PORT}",
        f"{INSIDE}.1",
        f"host.docker.internal:{PORT}",
    )
    for host in (*others, "evil.example"):
        status, body = container.curl("-H", f"Host: {host}", f"http://{AT}{INFO}", credential=credential)
        assert (status, refusal(body)) == (421, "host"), host
    assert hub.requests == []


def test_the_loopback_listener_does_not_answer_to_the_bridge_s_name(daemon: DaemonFixture) -> None:
    reply = ask(daemon.status()["endpoint"], "GET", INFO, bearer(daemon.mint()["credential"]), host=AT)
    assert reply.refusal == "host"


@pytest.mark.parametrize("options", [("--bind", "tree"), ("--bind", "tree", "--ambient")])
def test_a_container_is_in_no_tree(daemon: DaemonFixture, options: tuple[str, ...]) -> None:
    refused = daemon.cli("exec", "--container", *options, "--", "true")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--bind pid" in refused.stderr


def test_a_tree_s_request_from_behind_the_bridge_needs_its_credential(
    daemon: DaemonFixture, container: Network
) -> None:
    """`--ambient` is for processes that the kernel can name; those of a namespace it cannot, whoever started them."""
    inside = f"exec ip netns exec {container.name} curl -s -m 10 http://{AT}{INFO}"
    done = daemon.cli("exec", "--bind", "tree", "--ambient", "--", "sh", "-c", inside)
    assert refusal(done.stdout) == "no_credential"


def test_inside_of_a_grant_there_is_none_for_containers_and_below_one_nothing_else(daemon: DaemonFixture) -> None:
    inside = daemon.cli("exec", "--", *daemon.hfproxy, "mint", "--container")
    assert (inside.returncode, inside.stdout) == (1, "")
    assert "hf-proxy exec --container" in inside.stderr
    below = json.loads(daemon.must("exec", "--container", "--", *daemon.hfproxy, "mint", "--json", "--bind", "none"))
    assert below["endpoint"] == f"http://{AT}"


def test_a_grant_s_end_is_its_end_there_too(daemon: DaemonFixture, container: Network) -> None:
    minted = daemon.mint("--container")
    daemon.must("revoke", minted["id"])
    status, body = container.curl(f"http://{AT}{INFO}", credential=minted["credential"])
    assert (status, refusal(body)) == (401, "revoked")


def test_it_lives_through_a_restart_as_what_it_was(daemon: DaemonFixture, container: Network) -> None:
    minted = daemon.mint("--container")
    daemon.stop()
    daemon.start()
    daemon.login(CANARY)
    assert refusal(container.curl(f"http://{AT}{INFO}", credential=minted["credential"])[1]) in {"account", "holder"}
    assert ask(daemon.status()["endpoint"], "GET", INFO, bearer(minted["credential"])).refusal == "holder"


def test_without_a_bridge_there_are_no_grants_for_it(daemon: DaemonFixture) -> None:
    daemon.stop()
    daemon.configure()
    daemon.start()
    refused = daemon.cli("mint", "--container")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "listen.bridge" in refused.stderr
    assert daemon.status()["bridge"] is None


def test_the_address_has_to_be_a_bridge_s(daemon: DaemonFixture) -> None:
    """Not any private address: behind a network card there are other machines."""
    network = Network(f"hfr{os.getpid()}", "10.213.78", bridge=False)
    try:
        daemon.stop()
        listens(daemon, f"10.213.78.1:{PORT}")
        failed = daemon.cli("daemon")
        assert failed.returncode == 1
        assert "no bridge" in failed.stderr and "listen.bridge" in failed.stderr
    finally:
        network.close()


def test_the_bridge_may_come_and_go(hub: FakeHub, tmp_path: Path) -> None:
    """An engine makes it when it begins to run containers, which may be after the daemon; and another of the same name."""
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    listens(daemon, AT)
    daemon.start()
    daemon.login(CANARY)
    credential = daemon.mint("--container")["credential"]
    for _ in range(2):
        container = Network(f"hfu{os.getpid()}", INSIDE, bridge=True)
        try:
            words = ("--retry", "20", "--retry-delay", "1", "--retry-connrefused", "-m", "40")
            assert container.curl(*words, f"http://{AT}{INFO}", credential=credential)[0] == 200
        finally:
            container.close()


@pytest.mark.parametrize("kind", [("macvlan",), ("vxlan", "id", "4", "dstport", "4789")])
def test_a_bridge_that_leads_out_of_the_machine_is_none_of_containers(
    daemon: DaemonFixture, container: Network, kind: tuple[str, ...]
) -> None:
    """A network card cannot be made here. What can, and leads elsewhere too, lies on another interface or is a tunnel."""
    name, lower = f"hfs{os.getpid()}", f"hft{os.getpid()}"
    ip("link", "add", lower, "type", "veth", "peer", "name", f"{lower}p")
    try:
        ip("link", "add", "link", lower, "name", name, "type", *kind)
        ip("link", "set", name, "master", container.near)
        daemon.stop()
        failed = daemon.cli("daemon")
        assert failed.returncode == 1
        assert name in failed.stderr and "listen.bridge" in failed.stderr
    finally:
        ip("link", "delete", name)
        ip("link", "delete", lower)


ENGINE = f"""#!{sys.executable}
# What an engine does with `--env NAME`: takes the value from its own environment, and gives the container nothing else.
import os, sys
words = sys.argv[1:]
open(os.environ["ENGINE_SAW"], "w").write(" ".join(words))
assert words[0] == "run", words
given, rest = {{"PATH": os.environ["PATH"]}}, words[1:]
while rest[0] in ("--env", "-e", "--env-file"):
    flag, value, *rest = rest
    if flag == "--env-file":
        given |= dict(line.rstrip("\\n").split("=", 1) for line in open(value))
    else:
        given[value] = os.environ[value]
namespace, *command = rest
inside = ["ip", "netns", "exec", namespace, "setpriv", "--reuid={OTHER}", "--clear-groups", "--inh-caps=-all"]
os.execvpe(inside[0], [*inside, *command], given)
"""


@pytest.fixture
def engine(tmp_path: Path) -> dict[str, str]:
    """A PATH with a `docker` that runs things in a namespace."""
    programs = tmp_path / "engine"
    programs.mkdir()
    (programs / "docker").write_text(ENGINE)
    (programs / "docker").chmod(0o755)
    tmp_path.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "HF_TOKEN": CANARY, "ENGINE_SAW": str(tmp_path / "saw")}


READ = 'curl -s -m 10 -H "Authorization: Bearer $HF_TOKEN" $HF_ENDPOINT' + INFO


def test_exec_hands_docker_run_what_the_container_needs(
    daemon: DaemonFixture, container: Network, hub: FakeHub, engine: dict[str, str]
) -> None:
    done = daemon.cli("exec", "--container", "--", "docker", "run", container.name, "sh", "-c", READ, env=engine)
    assert json.loads(done.stdout)["id"] == "me/secret-model", done
    assert json.loads(daemon.must("grants", "--json")) == [], "it ended with the command"


def test_no_value_is_in_the_engine_s_command_line(
    daemon: DaemonFixture, container: Network, engine: dict[str, str]
) -> None:
    command = ["docker", "run", container.name, "sh", "-c", "echo $HF_TOKEN"]
    credential = daemon.must("exec", "--container", "--", *command, env=engine).strip()
    saw = Path(engine["ENGINE_SAW"]).read_text()
    assert credential.startswith("hf_px_") and "--env HF_TOKEN --env" in saw
    assert credential not in saw and CANARY not in saw


def test_env_makes_an_env_file(daemon: DaemonFixture, container: Network, hub: FakeHub, engine: dict[str, str]) -> None:
    program = " ".join(daemon.hfproxy)
    script = f'docker run --env-file <({program} env --container --shell docker) {container.name} sh -c "$0"'
    done = subprocess.run(
        ["bash", "-c", script, READ], env=daemon.env | engine, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout)["id"] == "me/secret-model", done


@pytest.mark.needs("git")
def test_git_in_a_container_finds_its_way(daemon: DaemonFixture, container: Network, engine: dict[str, str]) -> None:
    # Large files would come from storage, which is not behind the bridge.
    clone = "GIT_LFS_SKIP_SMUDGE=1 git clone -q https://huggingface.co/me/secret-model m && cat m/.git/config && ls m"
    script = f'export HOME=$(mktemp -d) && cd "$HOME" && {clone}; rm -rf "$HOME"'
    done = daemon.cli("exec", "--container", "--", "docker", "run", container.name, "sh", "-c", script, env=engine)
    assert "config.json" in done.stdout, done
    assert "https://huggingface.co/me/secret-model" in done.stdout, "the remote is the Hub's"
    assert "hf_px_" not in done.stdout


def test_what_is_no_engine_s_run_is_left_as_it_is(daemon: DaemonFixture) -> None:
    shown = daemon.must("exec", "--container", "--", "sh", "-c", 'echo "$0 $*"; echo $HF_ENDPOINT', "run", "x")
    assert shown == f"run x\nhttp://{AT}\n"
