"""The protocol of the control socket, between the command line and the daemon.

One JSON object a line, one request a connection. The client sends `{"do": WORD, ...}`; the daemon answers with one
object, except for `grants` and `audit`: these are answered by one object per grant or journal line and an empty object
(`{}`) at the end, which never comes with `follow`. A failure is `{"error": "one line for the user", "code": 1 or 2}`
(2: an argument is malformed). Unknown words and unknown members are failures.

    do        members (those in brackets are optional)                 answer
    status                                                             as `hf-proxy status --json`
    metrics                                                            {"text": in Prometheus' text format}
    doctor                                                             {"network": {...}, "tokens": [{...}]}: the
                                                                       daemon's view of the Hub, and one object for each
                                                                       account (`hfproxy.daemon.tokens.check`)
    login     account, token                                           account
    adopt     token, [refresh, dry]                                    {"account", "user", "role", "there": bool,
                                                                       "dead": false, "digest", "refresh"}, without the
                                                                       last two if dry; or only {"dead": true}
    accounts                                                           {"accounts": [account]}
    logout    [account]                                                {"account": name, "warnings": [text]}
    unlock    [passphrase, keep]                                       {"locked": false, "recalled": [outcome]}, or
                                                                       without a passphrase
                                                                       {"locked": bool, "exists": bool, ...}
    seal      passphrase, [undo]                                       {"vault": name, "locked": bool}
    lock                                                               {"locked": true}
    lockdown  [recall, account, dry]                                   {"ended": [id], "recalled": [outcome],
                                                                       "recorded": bool}, or with dry
                                                                       {"grants": [grant], "tokens": [{"account",
                                                                       "user", "origin"}], null in a closed vault}
    rotate    token, [account]                                         {"account", "user", "dead": true, false or null,
                                                                       "why"}: of the old token, null if the Hub did
                                                                       not say
    mint      [scopes, profile, project, learn, ttl, account, label,   {"id", "credential", "endpoint", "hub",
              bind, of, strict, ambient, container, max_uses,          "expires_at", "scopes", "replace", "container"}
              max_rate, max_up, max_down, program, found]
    allow     project, [dry]                                           {"path", "scopes"} that the project asks for
    forget    path                                                     {"forgotten": number}
    grants                                                             grants
    renew     id, ttl                                                  grant
    revoke    ids, or all                                              {"revoked": [id]}
    audit     [since, grant, repo, action, denied, follow]             journal entries
    anchor                                                             {"seq", "hash"} of the journal's last line
    vouch     macs: [[digest, mac]]                                    {"key": its name, "fit": [bool]}

An account is `{"name", "user", "role", "orgs": [name], "scopes": [text], "origin", "warnings": [text]}`; a grant as in
`hf-proxy grants --json`. `bind` is none, pid or tree; `of` names the process it refers to: the caller (`exec`), or the
caller's parent (`mint` and `env`, which end at once). An outcome is `{"account", "state", "why"}`, state one of
revoked, waiting and gone. Durations (`ttl`, `since`), sizes and scopes are sent as typed; the daemon parses them. A
project is its file, `{"path", "content"}`; its scopes apply if neither scopes nor a profile are named; with `learn`
every scope applies. `found` lists the token-shaped strings of the caller's environment; `replace` lists those of them
that are tokens of this vault. `adopt` is `login` under a free name; it returns the SHA-256 of the token as read back
from the vault, and `there`: whether the vault held the token before. `vouch` reports which of the given MACs of journal
lines, each line given by the SHA-256 of its text, were made with the journal's key; it never makes a MAC. A caller that
runs inside of a grant may send fewer requests (docs/threat-model.md#inside-a-grant); if the daemon serves several
users, each sees only their own objects (docs/threat-model.md#several-users).

Every `exec` imports this module, so it imports nothing heavy.
"""

import json

Message = dict[str, object]

# Large enough for an environment with a token-shaped string in every variable.
MAX_LINE = 1024 * 1024


def encode(message: Message, errors: str = "strict") -> bytes:
    """Return a message as one line of UTF-8.

    Args:
        message: the members of the JSON object.
        errors: `strict`, or `backslashreplace` to escape text that is not valid Unicode (such as a file's name).

    Raises:
        UnicodeEncodeError: a text is not valid Unicode and `errors` is `strict`.
    """
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", errors) + b"\n"


def decode(line: bytes) -> Message:
    """Parse a line into a message.

    Raises:
        ValueError: the line is not one JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is one JSON object")  # noqa: TRY004  (json.loads raises it as well)
    return message
