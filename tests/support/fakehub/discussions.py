"""Discussions and pull requests as data: their events, and what merging does to files. No HTTP here."""

import secrets
from datetime import UTC, datetime
from typing import Any

from . import describe
from .errors import Refusal
from .repos import Commit, Entry, Repo


def opened(repo: Repo, author: str, title: str, *, status: str = "open", number: int | None = None) -> dict[str, Any]:
    """Add a discussion, or the page of pull request *number*."""
    number = number or repo.next_number()
    repo.discussions[number] = {
        "num": number,
        "title": title,
        "author": {"name": author},
        "createdAt": describe.moment(datetime.now(UTC)),
        "status": status,
        "pinned": False,
        "events": [],
    }
    return repo.discussions[number]


def event(author: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a discussion's history."""
    return {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": describe.moment(datetime.now(UTC)),
        "author": {"name": author},
        "data": data,
    }


def comment(author: str, text: str) -> dict[str, Any]:
    """Return a comment."""
    return event(author, "comment", {"edited": False, "hidden": False, "latest": latest(author, text), "history": []})


def latest(author: str, text: str) -> dict[str, Any]:
    """Return a comment's text as it now is."""
    now = describe.moment(datetime.now(UTC))
    return {"raw": text, "html": f"<p>{text}</p>", "updatedAt": now, "author": {"name": author}}


def note_commit(repo: Repo, number: int, commit: Commit) -> None:
    """Show a commit on the page of the pull request it went to."""
    data = {"subject": commit.title, "oid": commit.id}
    repo.discussions[number]["events"].append(event(commit.author, "commit", data))


def details(repo: Repo, discussion: dict[str, Any]) -> dict[str, Any]:
    """Describe a discussion with its events, and a pull request with what it changes."""
    is_pull = discussion["num"] in repo.pulls
    changes = {"base": "refs/heads/main", "mergeCommitId": discussion.get("merge")} if is_pull else None
    conflicts = merged(repo, discussion["num"])[1] if is_pull and "merge" not in discussion else []
    kept = {key: value for key, value in discussion.items() if key != "merge"}
    repo_line = {"name": repo.id, "type": repo.kind}
    return {**kept, "isPullRequest": is_pull, "changes": changes, "filesWithConflicts": conflicts, "repo": repo_line}


def merged(repo: Repo, number: int) -> tuple[dict[str, Entry], list[str]]:
    """Return main's files with the pull request's changes, and the paths both changed in different ways."""
    main, pull = repo.find("main"), repo.commits[repo.pulls[number]]
    shared = {commit.id for commit in repo.history(main)}
    base = next((commit.tree for commit in repo.history(pull) if commit.id in shared), {})
    changed = {path for path in base.keys() | pull.tree.keys() if base.get(path) != pull.tree.get(path)}
    theirs = {path for path in changed if main.tree.get(path) not in (base.get(path), pull.tree.get(path))}
    tree = {path: entry for path, entry in main.tree.items() if path not in changed}
    return tree | {path: pull.tree[path] for path in changed if path in pull.tree}, sorted(theirs)


def merge(repo: Repo, discussion: dict[str, Any], who: str) -> Commit:
    """Put a pull request's changes on main as one commit."""
    number = discussion["num"]
    if number not in repo.pulls:
        raise Refusal(404, "This is not a pull request")
    if discussion["status"] != "open":
        raise Refusal(403, f"A pull request that is {discussion['status']} cannot be merged")
    tree, conflicts = merged(repo, number)
    if conflicts:
        raise Refusal(409, "This pull request has conflicts")
    title = f"{discussion['title']} (#{number})"
    commit = repo.add_commit(tree, title, author=who, parents=(repo.find("main").id,))
    repo.advance("main", commit)
    discussion |= {"status": "merged", "merge": commit.id}
    discussion["events"].append(event(who, "status-change", {"status": "merged"}))
    return commit
