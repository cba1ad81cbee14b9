"""`allow`: trust a project file, at its present path and with its present content."""

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
    f"Let exec, mint and env take their scopes from a project's {project_file.PROJECT_FILE}, until it is changed.",
    ("--yes", "", "do not ask"),
    ("--forget", "", "withdraw the permission"),
    positionals="[FILE]",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Allow or forget a project file.

    Raises:
        UsageError: there is no file, or no terminal to ask on.
        ConfigError: the file cannot be read.
        HFProxyError: the user did not confirm, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    path = _path(arguments.positionals)
    if arguments.switch("--forget"):
        request({"do": "forget", "path": project_file.printable_path(path)})
        show(f"forgotten: {path}")
        return 0
    file: Message = {"do": "allow", "project": _read_usable(path)}
    if not arguments.switch("--yes"):
        prompt.require_terminal("hf-proxy allow --yes")
    _show_scopes(path, request({**file, "dry": True}, wait=True))
    if not arguments.switch("--yes") and not prompt.confirm("Allow this?"):
        raise HFProxyError("nothing was allowed; to run with other scopes: hf-proxy exec --scope SCOPE -- CMD")
    request(file, wait=True)
    show("allowed, until the file is changed; it is used by: hf-proxy exec -- CMD")
    return 0


def _path(rest: list[str]) -> str:
    """Return the absolute path with links in directories resolved, as `exec` finds it from the working directory."""
    path = rest[0] if rest else project_file.find_project_file()
    if path is None:
        raise UsageError(
            f"there is no {project_file.PROJECT_FILE} here or above; write one, or name it: hf-proxy allow FILE"
        )
    if os.path.isdir(path):
        path = os.path.join(path, project_file.PROJECT_FILE)
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _read_usable(path: str) -> Message:
    file = project_file.read(path)
    directory, name = os.path.split(path)
    if name != project_file.PROJECT_FILE or not project_file.is_ours(directory):
        raise UsageError(
            f"only a {project_file.PROJECT_FILE} in a directory of yours is ever used; write one, then: hf-proxy allow"
        )
    return file


def _show_scopes(path: str, reply: Message) -> None:
    show(f"{path} asks for:")
    for scope in texts(reply, "scopes"):
        show(f"  {scope}")
