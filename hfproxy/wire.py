"""The words between the command line and the daemon, over the control socket.

One JSON object a line, one request a connection. The client sends `{"do": WORD, ...}`; the daemon answers
one object, but for `grants` and `audit`, which it answers with one object a grant or journal line, ended by an empty
one (`{}`), or never ended with `follow`. A failure is `{"error": "one line for a person", "code": 1 or 2}`
(2: what was typed cannot mean anything). Unknown words and unknown members are failures.

    do        members (those in brackets may be missing)               answer
    status                                                             as `hf-proxy status --json`
    metrics                                                            {"text": as Prometheus reads it}
    doctor                                                             {"network": {...}, "tokens": [{...}]}: the Hub as
                                                                       the daemon finds it, and of each account
                                                                       (`daemon.examination`)
    login     account, token                                           account
    adopt     token, [refresh, dry]                                    {"account", "user", "role", "there": bool,
                                                                       "dead": false, "digest", "refresh"}, the last two
                                                                       not with dry; or only {"dead": true}
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
                                                                       "why"}: of the old token, null where the Hub did
                                                                       not say
    mint      [scopes, profile, project, learn, ttl, account, label,   {"id", "credential", "endpoint", "hub",
              bind, strict, ambient, container, max_uses, max_rate,    "expires_at", "scopes", "replace", "container"}
              max_up, max_down, program, found]
    allow     project, [dry]                                           {"path", "scopes"} of what it asks for
    forget    path                                                     {"forgotten": number}
    grants                                                             grants
    renew     id, ttl                                                  grant
    revoke    ids, or all                                              {"revoked": [id]}
    audit     [since, grant, repo, action, denied, follow]             journal entries
    anchor                                                             {"seq", "hash"} of the journal's last line
    vouch     macs: [[digest, mac]]                                    {"key": its name, "fit": [bool]}

An account is `{"name", "user", "role", "orgs": [name], "scopes": [text], "origin", "warnings": [text]}`; a grant as in
`hf-proxy grants --json`. `bind` is none, pid or tree, `of` whose process that means: the caller's (`exec`), or its
parent's (`mint` and `env`, which end at once). An outcome is `{"account", "state", "why"}`, state one of revoked,
waiting and gone. Durations (`ttl`, `since`), sizes and scopes travel as they were typed:
the daemon reads them. A project is its file, `{"path", "content"}`, whose scopes count where neither scopes nor a
profile are named; with `learn` every scope counts. `found` lists the token-shaped strings of the caller's environment;
`replace` those of them that are tokens of this vault. `adopt` is `login` under a free name; it answers with the SHA-256
of what the vault then gives back, and with whether the token was `there` before. `vouch` says of journal lines, each
given by the SHA-256 of what it says, which MACs were made with the journal's key, and never makes one. A caller that
runs inside of a grant is served less (docs/threat-model.md#inside-a-grant), and one of several users only what is
theirs (docs/threat-model.md#several-users).

This page imports nothing heavy: it is on the way of every `exec`.
"""

import json

Message = dict[str, object]

# A token-shaped string in every variable of a large environment still fits.
MAX_LINE = 1024 * 1024


def encode(message: Message, errors: str = "strict") -> bytes:
    """One message as a line. Text that is not valid Unicode (a file's name) is kept as escapes by `backslashreplace`.

    Raises:
        UnicodeEncodeError: such text, strictly.
    """
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", errors) + b"\n"


def decode(line: bytes) -> Message:
    """A line as a message.

    Raises:
        ValueError: it is not one JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is one JSON object")  # noqa: TRY004  (whoever reads JSON expects this one)
    return message
