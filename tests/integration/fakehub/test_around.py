"""What stands around repositories, under the real client: likes, access requests, collections, jobs, webhooks."""

import pytest
from fakehub import FakeHub
from hub_clients.people import OTHER, READER, REAL
from hub_clients.plain import ask
from hub_clients.python import Client


def test_access_to_a_gated_repository(hub: FakeHub, client: Client) -> None:
    """Asked for, seen, granted, used, taken back."""
    hub.add_repo("model", "me/gated", gated=True, files={"a.txt": b"a", "b.txt": b"b"})
    ask_for_it = """
        from huggingface_hub.utils import get_session, build_hf_headers
        url = os.environ["HF_ENDPOINT"] + "/me/gated/ask-access"
        result = get_session().post(url, headers=build_hf_headers(), json={}).status_code
    """
    assert client.failure('hf_hub_download("me/gated", "a.txt")', OTHER)[0] == "GatedRepoError"
    assert client(ask_for_it, OTHER) == 200
    pending = client("""
        result = [r.username for r in api.list_pending_access_requests("me/gated")]
        api.accept_access_request("me/gated", "you")
    """)
    assert pending == ["you"]
    assert client('result = open(hf_hub_download("me/gated", "a.txt")).read()', OTHER) == "a"
    result = client("""
        api.cancel_access_request("me/gated", "you")
        api.reject_access_request("me/gated", "you", rejection_reason="No")
        rejected = [r.username for r in api.list_rejected_access_requests("me/gated")]
        result = [rejected, len(list(api.list_accepted_access_requests("me/gated")))]
    """)
    assert result == [["you"], 0]
    assert client.failure('hf_hub_download("me/gated", "b.txt")', OTHER)[0] == "GatedRepoError"
    client('api.grant_access("me/gated", "you")')
    assert hub.repo("me/gated").granted == {"you"}


async def test_requests_are_not_for_everybody(hub: FakeHub) -> None:
    hub.add_repo("model", "me/gated", gated=True)
    base = "/api/models/me/gated/user-access-request"
    assert (await ask(hub, "GET", f"{base}/pending", OTHER))[0] == 403
    assert (await ask(hub, "POST", f"{base}/grant", READER, body=b'{"user": "you"}'))[0] == 403
    assert (await ask(hub, "POST", f"{base}/grant", REAL, body=b'{"user": "nobody"}'))[0] == 404
    assert (await ask(hub, "GET", "/api/models/me/model/user-access-request/pending", REAL))[0] == 400


def test_likes(hub: FakeHub, client: Client) -> None:
    hub.repo("me/open", "dataset").likers.add("you")
    result = client("""
        here = {"repo_id": "me/open", "repo_type": "dataset"}
        before = [[u.username for u in api.list_repo_likers(**here)], api.list_liked_repos("you").datasets]
        result = [*before, api.dataset_info("me/open").likes]
        api.unlike(**here)
    """)
    assert result == [["you"], ["me/open"], 1]


def test_a_collection(client: Client) -> None:
    result = client("""
        made = api.create_collection("Nice things", namespace="me", description="D", private=True)
        again = api.create_collection("Nice things", namespace="me", exists_ok=True)
        full = api.add_collection_item(made.slug, "me/open", "dataset", note="N")
        api.update_collection_item(made.slug, full.items[0].item_object_id, note="M")
        changed = api.update_collection_metadata(made.slug, title="Other")
        seen = [c.slug == made.slug for c in api.list_collections(owner="me")]
        note = api.get_collection(made.slug).items[0].note
        api.delete_collection_item(made.slug, full.items[0].item_object_id)
        left = len(api.get_collection(made.slug).items)
        api.delete_collection(made.slug)
        result = [again.slug == made.slug, changed.title, seen, note, left, len(list(api.list_collections(owner="me")))]
    """)
    assert result == [True, "Other", [True], "M", 0, 0]


@pytest.mark.parametrize("token", [OTHER, READER])
def test_not_anybodys_collection(client: Client, token: str) -> None:
    name, text = client.failure('api.create_collection("X", namespace="me")', token)
    assert (name, "403" in text) == ("HfHubHTTPError", True)


def test_a_job(hub: FakeHub, client: Client) -> None:
    result = client("""
        job = api.run_job(image="python:3.12", command=["echo", "hi"], secrets={"KEY": "s3cret"})
        logs = list(api.fetch_job_logs(job_id=job.id))
        done = api.inspect_job(job_id=job.id).status.stage
        other = api.run_job(image="python:3.12", command=["sleep"])
        api.cancel_job(job_id=other.id)
        result = [logs, done, [j.status.stage for j in api.list_jobs()], job.secrets]
    """)
    assert result == [["echo hi"], "COMPLETED", ["COMPLETED", "CANCELED"], {"KEY": ""}]


@pytest.mark.parametrize("token", [OTHER, READER, None])
async def test_not_anybodys_job(hub: FakeHub, token: str | None) -> None:
    answer = await ask(hub, "POST", "/api/jobs/me", token, body=b'{"dockerImage": "x"}')
    assert answer[0] == (401 if token is None else 403)
    assert hub.world.jobs == {}


def test_a_webhook(hub: FakeHub, client: Client) -> None:
    result = client("""
        hook = api.create_webhook(url="https://example.com", watched=[{"type": "user", "name": "me"}], domains=["repo"])
        off = api.disable_webhook(hook.id).disabled
        on = api.enable_webhook(hook.id).disabled
        moved = api.update_webhook(hook.id, url="https://example.org").url
        result = [off, on, moved, [h.url for h in api.list_webhooks()], api.get_webhook(hook.id).domains]
        api.delete_webhook(hook.id)
    """)
    assert result == [True, False, "https://example.org", ["https://example.org"], ["repo"]]
    assert hub.world.webhooks == {"me": {}}
    assert client.failure("api.create_webhook(url='https://x', watched=[])", READER)[0] == "HfHubHTTPError"


def test_a_narrow_token_runs_nothing(hub: FakeHub, client: Client) -> None:
    entity = {"type": "user", "name": "me"}
    hub.add_user("me", "hf_narrow", scoped=[{"entity": entity, "permissions": ["repo.write"]}])
    assert client.failure('api.run_job(image="x", command=["y"])', "hf_narrow")[0] == "HfHubHTTPError"


def test_large_files_of_a_repository(hub: FakeHub, client: Client) -> None:
    """Listed, purged, and copied to another repository; duplicated, squashed, renamed, deleted."""
    result = client("""
        files = list(api.list_lfs_files("me/model"))
        copy = api.duplicate_repo("me/model", to_id="acme/copy", private=True)
        api.super_squash_history("acme/copy")
        commits = len(api.list_repo_commits("acme/copy"))
        api.permanently_delete_lfs_files("me/model", files)
        api.move_repo("acme/copy", "acme/other")
        result = [[f.filename for f in files], copy.repo_id, commits, api.list_repo_files("acme/other"),
                  api.list_repo_files("me/model")]
        api.delete_repo("acme/other")
    """)
    assert result == [
        ["model.bin"],
        "acme/copy",
        1,
        [".gitattributes", "config.json", "model.bin"],
        [".gitattributes", "config.json"],
    ]


async def test_what_javascript_asks_for_a_file(hub: FakeHub) -> None:
    """`@huggingface/hub` reads the size, the hash and the links from the headers, although there is a body."""
    hub.add_repo("model", "me/xet", files={"big.bin": b"x" * 20_000}, xet=True)
    accept = "application/vnd.xet-fileinfo+json, */*"
    status, _, headers = await ask(hub, "GET", "/me/xet/resolve/main/big.bin", Accept=accept, Range="bytes=0-0")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "application/vnd.xet-fileinfo+json")
    assert (headers["X-Linked-Size"], len(headers["X-Xet-Hash"])) == ("20000", 64)
    assert headers["Link"].count(' rel="xet-') == 2
    assert (await ask(hub, "GET", "/me/xet/resolve/main/big.bin", Accept="*/*"))[0] == 302
