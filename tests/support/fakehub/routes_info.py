"""Reading about repositories: lists, info, trees, history, refs, access probes."""

from typing import Any

from aiohttp import web

from . import describe, gitobjects
from .auth import READ, may
from .errors import entry_not_found
from .pages import answer, paged
from .repos import Commit, Repo, git_files
from .routing import Call, Routes

ROUTES = Routes()
TRUE = ("true", "True", "1")


@ROUTES.on("GET", "/api/{T}")
async def listing(call: Call) -> web.Response:
    """List repositories the caller may know of; `search` and `author` filter."""
    found = [repo for repo in call.world.repos.values() if repo.kind == call.kind and _listed(call, repo)]
    return paged(call, [describe.summary(repo) for repo in found])


def _listed(call: Call, repo: Repo) -> bool:
    query = call.request.query
    if repo.private and not may(call.token, READ, repo):
        return False
    wanted_author = query.get("author") in (None, repo.namespace)
    return wanted_author and query.get("search", "").lower() in repo.id.lower()


@ROUTES.on("GET", "/api/{T}/{R}")
async def info(call: Call) -> web.Response:
    """Describe a repository at the head of main."""
    return _info(call, call.repo(), "main")


@ROUTES.on("GET", "/api/{T}/{R}/revision/{rev}")
async def info_at(call: Call) -> web.Response:
    """Describe a repository at a revision."""
    return _info(call, call.repo(), call.param("rev"))


def _info(call: Call, repo: Repo, rev: str) -> web.Response:
    blobs = call.request.query.get("blobs") in TRUE
    full = describe.details(repo, repo.find(rev), blobs=blobs)
    query = call.request.query
    if wanted := [*query.getall("expand", []), *query.getall("expand[]", [])]:
        full = {key: value for key, value in full.items() if key in ("_id", "id", *wanted)}
    return answer(call, full, headers={"X-Repo-Commit": repo.find(rev).id})


@ROUTES.on("GET", "/api/{T}/{R}/tree/{rev}")
async def tree_root(call: Call) -> web.Response:
    """List the top directory."""
    return _tree(call)


@ROUTES.on("GET", "/api/{T}/{R}/tree/{rev}/{path}")
async def tree(call: Call) -> web.Response:
    """List a directory, or everything below it with `recursive`."""
    return _tree(call)


def _tree(call: Call) -> web.Response:
    repo = call.repo()
    commit = repo.find(call.param("rev"))
    query = call.request.query
    lines = tree_lines(commit, expand=query.get("expand") in TRUE)
    prefix = f"{call.param('path').strip('/')}/".lstrip("/")
    below = [line for line in lines if line["path"].startswith(prefix)]
    if prefix and not below:
        raise entry_not_found()
    if query.get("recursive") not in TRUE:
        below = [line for line in below if "/" not in line["path"].removeprefix(prefix)]
    return paged(call, below)


def tree_lines(commit: Commit, *, expand: bool) -> list[dict[str, Any]]:
    """Describe every directory and file of a commit, directories first, by path."""
    last = commit if expand else None
    folders = gitobjects.tree_ids(git_files(commit.tree))
    lines = [describe.tree_folder(path, oid, last) for path, oid in sorted(folders.items()) if path]
    return lines + [describe.tree_file(path, entry, last) for path, entry in sorted(commit.tree.items())]


@ROUTES.on("POST", "/api/{T}/{R}/paths-info/{rev}")
async def paths_info(call: Call) -> web.Response:
    """Describe some paths, leaving out those that do not exist. Python sends a form, JavaScript JSON."""
    repo = call.repo()
    if call.request.content_type == "application/json":
        asked = call.json()
        paths, expand = asked.get("paths", []), asked.get("expand") is True
    else:
        form = await call.request.post()
        paths, expand = form.getall("paths", []), form.get("expand") in TRUE
    lines = {line["path"]: line for line in tree_lines(repo.find(call.param("rev")), expand=expand)}
    return answer(call, [lines[path] for path in paths if path in lines])


@ROUTES.on("GET", "/api/{T}/{R}/commits/{rev}")
async def commits(call: Call) -> web.Response:
    """List the history, newest first."""
    repo = call.repo()
    return paged(call, [describe.commit_line(commit) for commit in repo.history(repo.find(call.param("rev")))])


@ROUTES.on("GET", "/api/{T}/{R}/refs")
async def refs(call: Call) -> web.Response:
    """List branches, tags and, with `include_prs`, pull request refs."""
    repo = call.repo()
    body = {
        "branches": [_ref(name, f"refs/heads/{name}", sha) for name, sha in repo.branches.items()],
        "tags": [_ref(name, f"refs/tags/{name}", sha) for name, sha in repo.tags.items()],
        "converts": [],
    }
    if call.request.query.get("include_prs") in TRUE:
        body["pullRequests"] = [_ref(str(n), f"refs/pr/{n}", sha) for n, sha in repo.pulls.items()]
    return answer(call, body)


def _ref(name: str, ref: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": sha}


@ROUTES.on("GET", "/api/{T}/{R}/auth-check")
async def auth_check(call: Call) -> web.Response:
    """Say whether the caller may read the content."""
    call.readable()
    return answer(call, {})


@ROUTES.on("GET", "/api/{T}/{R}/auth-check/write")
async def auth_check_write(call: Call) -> web.Response:
    """Say whether the caller may write."""
    call.writable()
    return answer(call, {})
