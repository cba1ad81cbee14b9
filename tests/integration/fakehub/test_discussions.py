"""Discussions and pull requests under the real client."""

import pytest
from fakehub import FakeHub
from hub_clients.people import OTHER, READER, REAL
from hub_clients.plain import ask
from hub_clients.python import Client

BASE = "/api/datasets/me/open/discussions"


@pytest.fixture(autouse=True)
def opened(hub: FakeHub, client: Client) -> None:
    """Somebody else's discussion, number 1, and their pull request, number 2."""
    client("""
        d = "me/open"
        api.create_discussion(d, "A title", description="Text", repo_type="dataset")
        api.upload_file(path_or_fileobj=b"pr", path_in_repo="pr.txt", repo_id=d, repo_type="dataset", create_pr=True)
    """, OTHER)  # fmt: skip


def test_a_conversation(client: Client) -> None:
    result = client("""
        here = {"repo_id": "me/open", "repo_type": "dataset"}
        said = api.comment_discussion(discussion_num=1, comment="One", **here)
        edited = api.edit_discussion_comment(discussion_num=1, comment_id=said.id, new_content="Two", **here)
        hidden = api.hide_discussion_comment(discussion_num=1, comment_id=said.id, **here)
        renamed = api.rename_discussion(discussion_num=1, new_title="Another title", **here)
        closed = api.change_discussion_status(discussion_num=1, new_status="closed", comment="Done", **here)
        after = api.get_discussion_details(discussion_num=1, **here)
        lists = [[d.num for d in api.get_repo_discussions(**here, **f)] for f in (
            {}, {"discussion_status": "closed"}, {"discussion_type": "pull_request"}, {"author": "you"}, {"author": "me"})]
        result = [edited.content, edited.edited, hidden.hidden, renamed.old_title, closed.new_status,
                  after.title, [e.type for e in after.events], lists]
    """)
    assert result[:6] == ["Two", True, True, "A title", "closed", "Another title"]
    assert result[6] == ["comment", "comment", "title-change", "comment", "status-change"]
    assert result[7] == [[1, 2], [1], [2], [1, 2], []]


def test_a_pull_request_is_merged_beside_other_changes(hub: FakeHub, client: Client) -> None:
    """Main went on; the merge brings the pull request's files only."""
    hub.commit("me/open", {"main.txt": b"main"}, "dataset")
    result = client("""
        here = {"repo_id": "me/open", "repo_type": "dataset", "discussion_num": 2}
        before = api.get_discussion_details(**here)
        api.merge_pull_request(comment="Thanks", **here)
        after = api.get_discussion_details(**here)
        result = [before.status, before.conflicting_files, after.status, after.merge_commit_oid,
                  [e.type for e in after.events]]
    """)
    assert result[:3] == ["open", [], "merged"]
    assert result[3] == hub.repo("me/open", "dataset").find("main").id
    assert result[4] == ["commit", "status-change", "comment"]
    assert set(hub.files("me/open", "dataset")) == {".gitattributes", "a.txt", "main.txt", "pr.txt"}


def test_a_conflict_is_not_merged(hub: FakeHub, client: Client) -> None:
    hub.commit("me/open", {"pr.txt": b"mine"}, "dataset")
    text = client.failure('api.merge_pull_request("me/open", 2, repo_type="dataset")')[1]
    assert "conflicts" in text
    assert hub.files("me/open", "dataset")["pr.txt"] == b"mine"


def test_a_draft_becomes_open_and_takes_commits(hub: FakeHub, client: Client) -> None:
    result = client("""
        here = {"repo_id": "me/open", "repo_type": "dataset"}
        pr = api.create_pull_request(title="A draft", **here)
        api.upload_file(path_or_fileobj=b"n", path_in_repo="n", revision=pr.git_reference, **here)
        try:
            api.merge_pull_request(discussion_num=pr.num, **here)
        except Exception as error:
            early = error.response.status_code
        api.change_discussion_status(discussion_num=pr.num, new_status="open", **here)
        api.merge_pull_request(discussion_num=pr.num, **here)
        result = [pr.status, early]
    """)
    assert result == ["draft", 403]
    assert hub.files("me/open", "dataset")["n"] == b"n"


@pytest.mark.parametrize(
    ("method", "target", "token", "status"),
    [
        ("POST", "/1/merge", OTHER, 403),
        ("POST", "/1/pin", OTHER, 403),
        ("DELETE", "/1", OTHER, 403),
        ("DELETE", "/2/ref", REAL, 403),
        ("POST", "/1/comment", READER, 403),
        ("POST", "/1/comment", None, 401),
        ("POST", "/1/title", READER, 403),
        ("POST", "/1/title", REAL, 400),
        ("POST", "/1/merge", REAL, 404),
        ("POST", "/9/comment", REAL, 404),
        ("POST", "", None, 401),
        ("POST", "", READER, 403),
        ("POST", "/1/pin", REAL, 200),
        ("DELETE", "/1", REAL, 200),
    ],
)
async def test_who_may_do_what(hub: FakeHub, method: str, target: str, token: str | None, status: int) -> None:
    assert (await ask(hub, method, BASE + target, token, body=b"{}"))[0] == status


async def test_a_private_repository_hides_its_discussions(hub: FakeHub) -> None:
    assert (await ask(hub, "GET", "/api/models/me/model/discussions", OTHER))[0] == 404
