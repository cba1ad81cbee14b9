"""Traps 1, 2, 3, 7, 12: whatever a client builds its next address from, its credential goes to the proxy alone."""

import hashlib
import json
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import FILES, Client

pytestmark = [pytest.mark.needs("curl"), pytest.mark.shared_daemon]

READ = ("--scope", "read")
CREDENTIAL_OURS = b"hf_px_"
DOWNLOAD = """
import hashlib, sys
from huggingface_hub import hf_hub_download
for name in sys.argv[1:]:
    print(hashlib.sha256(open(hf_hub_download("me/secret-model", name), "rb").read()).hexdigest())
"""
SMALL, LARGE = ("config.json", "model.bin")
CONTENT = {name: hashlib.sha256(FILES[name]).hexdigest() for name in (SMALL, LARGE)}


def test_trap_01_a_key_of_another_form_is_sent_straight_to_third_party_providers(
    daemon: DaemonFixture, client: Client
) -> None:
    """The client's own choice of a host, with our form and, to see that it does choose, with another."""
    script = """
import os
from huggingface_hub.inference._providers import get_provider_helper
together = get_provider_helper("together", task="conversational", model="some/model")
for key in (os.environ["HF_TOKEN"], "sk-another-form"):
    print(together._prepare_url(key, "some/model"))
"""
    ours, another = client.proxied(daemon, script, options=READ).split()
    assert ours.startswith("https://router.huggingface.co/together/")
    assert another.startswith("https://api.together.xyz/")


def test_trap_02_pagination_leaks_the_credential_to_huggingface_co(
    hub: FakeHub, daemon: DaemonFixture, any_client: Client
) -> None:
    """The first page names the next one at huggingface.co, the others at the Hub's own address."""
    names = {f"me/model-{number}" for number in range(8)} | {"me/secret-model"}
    for name in names - {"me/secret-model"}:
        hub.add_repo("model", name, private=True)
    first = [{"id": "me/the-first", "modelId": "me/the-first", "tags": []}]
    hub.inject(
        "GET",
        "/api/models",
        200,
        headers={
            "Link": '<https://huggingface.co/api/models?author=me&cursor=0>; rel="next"',
            "Content-Type": "application/json",
        },
        body=json.dumps(first).encode(),
    )
    script = "from huggingface_hub import HfApi; print(*(model.id for model in HfApi().list_models(author='me')))"
    assert set(any_client.proxied(daemon, script, options=READ).split()) == names | {"me/the-first"}
    assert len(hub.recorder.select("hub", "GET", "/api/models")) == 4
    assert not hub.saw(CREDENTIAL_OURS)


@pytest.mark.parametrize("origin", ["", "https://huggingface.co", "the Hub's own"])
def test_trap_03_an_absolute_location_sends_the_credential_to_the_hub_or_breaks_0_36(
    hub: FakeHub, daemon: DaemonFixture, any_client: Client, origin: str
) -> None:
    """A renamed repository, in each of the three ways in which a Hub may say so; 0.36 stands for Rust's client too."""
    hub.rename_repo("me/secret-model", "me/renamed-model")
    hub.world.settings.absolute_redirects = origin == "the Hub's own"
    if origin.startswith("https:"):
        place = "/resolve/main/config.json"
        hub.inject("HEAD", f"/me/secret-model{place}", 307, headers={"Location": f"{origin}/me/renamed-model{place}"})
    assert any_client.proxied(daemon, DOWNLOAD, SMALL, LARGE, options=READ).split() == [CONTENT[SMALL], CONTENT[LARGE]]
    assert not hub.saw(CREDENTIAL_OURS)


def test_trap_07_completion_of_multipart_uploads_comes_without_a_credential(
    hub: FakeHub, daemon: DaemonFixture, any_client: Client
) -> None:
    hub.world.settings.multipart_bytes = 100_000
    script = """
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj=b"large" * 50_000, path_in_repo="large.bin", repo_id="me/secret-model")
"""
    any_client.proxied(daemon, script, options=("--scope", "write:me/*"), HF_HUB_DISABLE_XET="1")
    (completion,) = hub.recorder.select("hub", "POST", "/api/complete_multipart")
    assert completion.header("Authorization") is None
    assert hub.files("me/secret-model")["large.bin"] == b"large" * 50_000


def test_trap_07_cards_are_validated_and_telemetry_sent_without_a_credential(
    hub: FakeHub, daemon: DaemonFixture, client: Client, shell: Client
) -> None:
    script = "from huggingface_hub import ModelCard; ModelCard('---\\nlicense: mit\\n---\\n').validate()"
    client.proxied(daemon, script, options=READ)
    shell.proxied(daemon, 'hf version; curl -sS --fail --head "$HF_ENDPOINT/api/telemetry/topic"', options=READ)
    (validation,) = hub.recorder.select("hub", "POST", "/api/validate-yaml")
    assert validation.header("Authorization") is None
    assert hub.recorder.select(path="/api/telemetry") == []


@pytest.mark.parametrize(
    "variable",
    [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
        ("HF_OIDC_RESOURCE", "https://huggingface.co"),
        ("HUGGINGFACE_CO_STAGING", "1"),
        ("HUGGING_FACE_HUB_TOKEN", "hf_SomethingElseEntirely"),
        ("HF_INFERENCE_ENDPOINT", "http://127.0.0.1:9"),
        ("NETRC", "the test's own"),
    ],
    ids=lambda variable: variable[0],
)
def test_trap_12_the_environment_outranks_or_diverts_what_exec_sets(
    daemon: DaemonFixture, any_client: Client, tmp_path: Path, variable: tuple[str, str]
) -> None:
    """Port 9 is nobody's: whoever is diverted there fails. Storage would be, rightly, so it is not asked."""
    name, value = variable
    if name == "NETRC":
        value = str(tmp_path / "netrc")
        Path(value).write_text("machine 127.0.0.1 login me password hf_FromTheNetrc\n")
    diverted = {"NO_PROXY": "", "no_proxy": "", name: value}
    assert any_client.proxied(daemon, DOWNLOAD, SMALL, options=READ, **diverted).split() == [CONTENT[SMALL]]
    assert daemon.audit("--denied") == []
