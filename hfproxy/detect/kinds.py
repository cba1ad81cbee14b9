"""The kinds of files that hold tokens, recognized by their paths."""

import re
from enum import StrEnum
from typing import Final


class LocationKind(StrEnum):
    """A kind of place where tokens are found; the values are those of `--json`."""

    TOKEN_FILE = "token-file"  # noqa: S105
    STORED_TOKENS = "stored-tokens"
    NETRC = "netrc"
    GIT_CREDENTIALS = "git-credentials"
    GIT_CONFIG = "git-config"
    ENV_FILE = "env-file"
    SHELL_HISTORY = "shell-history"
    SHELL_RC = "shell-rc"
    NOTEBOOK = "notebook"
    DOCKER_CONFIG = "docker-config"
    COMPOSE = "compose"
    DOCKERFILE = "dockerfile"
    CI = "ci"
    AGENT_CONFIG = "agent-config"
    FILE = "file"
    BINARY = "binary"
    PROCESS = "process"
    ENVIRONMENT = "environment"


# Patterns for the end of the path; the first match decides.
LOCATIONS: Final = (
    (LocationKind.TOKEN_FILE, (r"\.?huggingface(_staging)?/token",)),
    (LocationKind.STORED_TOKENS, ("stored_tokens",)),
    (LocationKind.NETRC, (r"[._]netrc",)),
    (LocationKind.GIT_CREDENTIALS, (r"\.git-credentials", "git/credentials")),
    (
        LocationKind.GIT_CONFIG,
        (r"\.git/.*", r"\.gitconfig", "git/config", r"[^/]+\.git/config", r"\.gitmodules", r"\.lfsconfig"),
    ),
    (LocationKind.ENV_FILE, (r"\.env[^/]*", r"[^/]+\.env", r"\.flaskenv")),
    (
        LocationKind.SHELL_HISTORY,
        (r"[._][^/]*hist(ory|file)[^/]*", "fish_history", r"[^/]*_history(\.txt)?", r"\.lesshst", r"\.viminfo"),
    ),
    (
        LocationKind.SHELL_RC,
        (
            r"\.?(ba|z|k|c|tc|mk)?sh(rc|env|_?profile|_login|_logout|_aliases)",
            r"\.([zx]?profile|z?log(in|out)|pam_environment)",
            r"fish/.*|config\.fish|fish_variables",
            r"environment\.d/.*",
        ),
    ),
    (LocationKind.NOTEBOOK, (r"[^/]*\.ipynb",)),
    (
        LocationKind.DOCKER_CONFIG,
        (r"\.docker/config\.json", r"\.dockercfg", r"\.dockerconfigjson", r"containers/auth\.json"),
    ),
    (LocationKind.COMPOSE, (r"(docker-|podman-)?compose[^/]*\.ya?ml",)),
    (LocationKind.DOCKERFILE, (r"([^/]*\.)?(docker|container)file[^/]*",)),
    (
        LocationKind.CI,
        (
            r"\.(github|circleci|buildkite|woodpecker|drone|gitea|forgejo)/.*",
            r"\.(gitlab-ci|travis|drone|woodpecker|appveyor)\.ya?ml",
            r"(azure|bitbucket)-pipelines[^/]*\.ya?ml",
            r"cloudbuild\.ya?ml|jenkinsfile[^/]*|tox\.ini",
        ),
    ),
    (
        LocationKind.AGENT_CONFIG,
        (
            r"\.claude(\.json[^/]*|/.*)|claude_desktop_config\.json",
            r"\.(cursor|codex|gemini|continue|codeium|windsurf|zed|roo|cline|amazonq|goose|kiro|junie)/.*",
            r"\.vscode(-server)?/.*|\.aider[^/]*|opencode\.jsonc?",
            r"[^/]*mcp[^/]*\.json",
            r"\.config/(code|code - insiders|vscodium|cursor|claude|zed|goose|opencode|github-copilot|crush)/.*",
        ),
    ),
)

PATTERNS: Final = tuple((kind, re.compile(f"/(?:{'|'.join(ends)})\\Z", re.IGNORECASE)) for kind, ends in LOCATIONS)

# Suffixes of files in which base64 and percent-encoded text is searched: settings, not source code.
SETTINGS_SUFFIXES: Final = tuple(
    ".json .jsonc .yaml .yml .toml .ini .cfg .conf .env .ipynb .xml .properties .sh .txt".split()
)

# The largest size of such a file.
MAX_SETTINGS_BYTES: Final = 1024 * 1024

# The members of `stored_tokens`: INI if written by huggingface_hub, JSON if written by the Rust client.
STORED_TOKEN_MEMBER: Final = re.compile(
    rb"""(?m)(?:^[ \t]*|["'])(hf_token|refresh_token|access_token|token)["']?[ \t]*[:=][ \t]*["']?([^\s"',}]+)"""
)


def kind_of(path: str) -> LocationKind:
    """Return the kind of a file, given its absolute path."""
    return next((kind for kind, pattern in PATTERNS if pattern.search(path)), LocationKind.FILE)


def is_settings(name: str) -> bool:
    """Return whether a file may hold encoded tokens: it has a suffix of SETTINGS, is a dotfile, or has no suffix."""
    return name.startswith(".") or "." not in name or name.endswith(SETTINGS_SUFFIXES)
