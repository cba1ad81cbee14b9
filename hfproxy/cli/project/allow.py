"""`allow`: trust a project's file, in this place and as it is now."""

import os

from hfproxy.cli.project import project_file
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, texts
from hfproxy.errors import HFProxyError, UsageError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "allow",
    f"Let exec, mint and env take their scopes from a project's {project_file.FILE}, until it is changed.",
    ("--yes", "", "without asking"),
    ("--forget", "", "take it back"),
    rest="[FILE]",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask` and `project.read`; UsageError where there is no file, or no terminal to ask on."""
    arguments = SYNTAX.read(words)
    path = _path(arguments.rest)
    if arguments.switch("--forget"):
        request({"do": "forget", "path": project_file.printable_path(path)})
        show(f"forgotten: {path}")
        return 0
    file: Message = {"do": "allow", "project": _usable(path)}
    if not arguments.switch("--yes"):
        prompt.needs_terminal("hf-proxy allow --yes")
    _tell(path, request({**file, "dry": True}, wait=True))
    if not arguments.switch("--yes") and not prompt.confirm("Allow this?"):
        raise HFProxyError("nothing was allowed; to run with other scopes: hf-proxy exec --scope SCOPE -- CMD")
    request(file, wait=True)
    show("allowed, until it is changed; it is used by: hf-proxy exec -- CMD")
    return 0


def _path(typed: list[str]) -> str:
    """The whole path, links in directories resolved: as the working directory's is found by `exec`."""
    found = typed[0] if typed else project_file.find_project_file()
    if found is None:
        raise UsageError(f"there is no {project_file.FILE} here or above; write one, or name it: hf-proxy allow FILE")
    if os.path.isdir(found):
        found = os.path.join(found, project_file.FILE)
    directory, name = os.path.split(found)
    return os.path.join(os.path.realpath(directory), name)


def _usable(path: str) -> Message:
    file = project_file.read(path)
    directory, name = os.path.split(path)
    if name != project_file.FILE or not project_file.is_ours(directory):
        raise UsageError(
            f"only a {project_file.FILE} in a directory of yours is ever used; write one, then: hf-proxy allow"
        )
    return file


def _tell(path: str, asked: Message) -> None:
    show(f"{path} asks for:")
    for scope in texts(asked, "scopes"):
        show(f"  {scope}")
