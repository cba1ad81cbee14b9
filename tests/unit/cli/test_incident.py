"""`lockdown`, `rotate` and `audit report` as they are typed: what is sent, what is said, and what is a mistake."""

import json
from pathlib import Path

import pytest
from outcome import HfProxy, done, failed
from scripted_daemon import ScriptedDaemon

TOKEN = "hf_" + "RoTaTeDtO" * 3 + "KenABCD"
ACCOUNTS = {
    "accounts": [
        {"name": name, "user": "me", "role": "fineGrained", "orgs": ["acme"], "origin": "https://hub", "warnings": []}
        for name in ("default", "work")
    ]
}
ENTRIES = [
    {"at": 1_790_000_000, "kind": "minted", "grant": "g1", "account": "work", "program": "sh\x1b[31m", "scopes": ["read"]},
    {"at": 1_790_000_001, "kind": "decided", "grant": "g1", "account": "work", "decision": "allow", "action": "read",
     "method": "GET", "repo": "models/acme/x\x1b]0;"},
    {},
]  # fmt: skip


def outcome(account: str, state: str, why: str = "") -> dict[str, str]:
    return {"account": account, "state": state, "why": why}


class TestLockdown:
    def test_the_request_says_what_was_typed(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        daemon.answers["lockdown"] = {"ended": ["g1"], "recalled": [], "recorded": True}
        assert "ended: g1" in done(hf_proxy("lockdown", "--yes"))
        done(hf_proxy("lockdown", "--yes", "--revoke-upstream", "--account", "work"))
        assert daemon.requests == [
            {"do": "lockdown", "recall": False, "account": None},
            {"do": "lockdown", "recall": True, "account": "work"},
        ]

    @pytest.mark.parametrize("words", [("--account", "work", "--yes"), ("now",), ("--yes=no",), ("--dry",)])
    def test_mistakes_do_nothing(self, hf_proxy: HfProxy, daemon: ScriptedDaemon, words: tuple[str, ...]) -> None:
        failed(hf_proxy("lockdown", *words), 2)
        assert daemon.requests == []

    def test_without_a_terminal_nothing_is_asked_of_the_daemon(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        said = failed(hf_proxy("lockdown", "--revoke-upstream", stdin="y\n"), 2)
        assert "hf-proxy lockdown --yes --revoke-upstream" in said
        assert daemon.requests == []

    def test_what_became_of_each_token_is_told_apart(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        recalled = [outcome("a", "revoked"), outcome("b", "waiting", "no\x1bnet"), outcome("c", "gone", "not there")]
        daemon.answers["lockdown"] = {"ended": [], "recalled": recalled, "recorded": False}
        result = hf_proxy("lockdown", "--yes", "--revoke-upstream")
        assert result.returncode == 0
        assert "revoked at the Hub: the token of account a" in result.stdout
        assert "b" not in result.stdout.split()
        assert "NOT yet revoked: the token of b: no\\x1bnet; it will be tried again at the next unlock" in result.stderr
        assert "not revoked: c: not there" in result.stderr
        assert "journal could not be written" in result.stderr

    @pytest.mark.parametrize(
        ("tokens", "said"),
        [
            ([{"account": "work", "user": "me", "origin": "https://hub"}], "would revoke at https://hub: the token of account work"),
            ([], "would revoke: nothing"),
            (None, "at the next unlock"),
        ],
    )  # fmt: skip
    def test_a_dry_run_says_what_would_be_done(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon, tokens: object, said: str
    ) -> None:
        daemon.answers["lockdown"] = {"grants": [{"id": "g1", "program": None, "label": "x\x1b[2J"}], "tokens": tokens}
        told = done(hf_proxy("lockdown", "--dry-run", "--revoke-upstream"))
        assert "would end: g1 x\\x1b[2J" in told
        assert said in told
        assert daemon.requests == [{"do": "lockdown", "recall": True, "account": None, "dry": True}]

    def test_unlock_tells_what_was_sent_late(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        daemon.answers["unlock"] = {"locked": False, "exists": True, "recalled": [outcome("a", "revoked")]}
        assert "revoked at the Hub: the token of account a" in done(hf_proxy("unlock"))


class TestRotate:
    def rotate(self, daemon: ScriptedDaemon, dead: bool | None = True, why: str = "") -> None:
        rotated = {"account": "work", "user": "me", "dead": dead, "why": why}
        daemon.answers.update(accounts=ACCOUNTS, audit=ENTRIES, rotate=rotated)

    def test_the_token_goes_to_the_daemon_and_is_not_repeated(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        self.rotate(daemon)
        said = done(hf_proxy("rotate", "--account", "work", "--token-stdin", stdin=f" {TOKEN}\n"))
        assert daemon.requests[-1] == {"do": "rotate", "account": "work", "token": TOKEN}
        assert (
            "https://hub/settings/tokens/new?tokenType=fineGrained&orgs=acme&orgPermissions=repo.content.read" in said
        )
        assert "the old token is dead" in said
        assert TOKEN not in said

    @pytest.mark.parametrize(
        ("dead", "said"), [(False, "is NOT dead"), (None, "it is unknown whether the old token is dead (no net)")]
    )
    def test_an_old_token_that_may_live_is_a_warning_with_the_page_that_deletes_it(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon, dead: bool | None, said: str
    ) -> None:
        self.rotate(daemon, dead, "no net")
        result = hf_proxy("rotate", "--account", "work", "--token-stdin", stdin=TOKEN)
        assert result.returncode == 0
        assert said in result.stderr
        assert result.stderr.endswith("delete it now at https://hub/settings/tokens\n" if dead is False else
                                      "delete it at https://hub/settings/tokens\n")  # fmt: skip

    def test_what_fails_says_nothing_on_stdout(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        self.rotate(daemon)
        daemon.answers["rotate"] = {"error": "the Hub does not accept this token; try again", "code": 1}
        assert "does not accept" in failed(hf_proxy("rotate", "--account", "work", "--token-stdin", stdin=TOKEN), 1)

    def test_a_token_among_the_words_is_refused_and_not_repeated(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon
    ) -> None:
        assert TOKEN[:12] not in failed(hf_proxy("rotate", TOKEN), 2)
        assert daemon.requests == []

    @pytest.mark.parametrize(
        ("accounts", "words", "said"),
        [
            ([], (), "hf-proxy login"),
            (["a", "b"], (), "--account a|b"),
            (["default"], ("--account", "x"), "hf-proxy accounts"),
        ],
    )
    def test_an_account_that_cannot_be_told_is_no_rotation(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon, accounts: list[str], words: tuple[str, ...], said: str
    ) -> None:
        (one, *_) = ACCOUNTS["accounts"]
        daemon.answers["accounts"] = {"accounts": [{**one, "name": name} for name in accounts]}
        assert said in failed(hf_proxy("rotate", *words), 1)
        assert daemon.requests == [{"do": "accounts"}]

    def test_without_a_terminal_it_has_to_be_told_where_the_token_is(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon
    ) -> None:
        self.rotate(daemon)
        result = hf_proxy("rotate")
        assert result.returncode == 2
        assert "--token-stdin" in result.stderr
        assert "rotate" not in [request["do"] for request in daemon.requests]


class TestReport:
    def test_what_was_named_cannot_reach_the_terminal(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        daemon.answers["audit"] = ENTRIES
        told = done(hf_proxy("audit", "report"))
        assert "account work, used by sh\\x1b[31m" in told
        assert "models/acme/x\\x1b]0;" in told
        assert "\x1b" not in told

    def test_json_is_one_object(self, hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
        daemon.answers["audit"] = ENTRIES
        report = json.loads(done(hf_proxy("audit", "report", "--json")))
        assert report.keys() == {"since", "first", "last", "accounts", "grants", "events", "strangers"}
        assert report["grants"][0]["places"][0]["read"] == 1
        assert daemon.requests == [{"do": "audit"}]

    def test_a_page_takes_the_place_of_the_one_before(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon, tmp_path: Path
    ) -> None:
        daemon.answers["audit"] = ENTRIES
        file = tmp_path / "page.html"
        file.write_text("x" * 100_000)
        assert done(hf_proxy("audit", "report", "--html", str(file))) == f"written: {file}\n"
        assert file.read_text().endswith("</html>\n")

    @pytest.mark.parametrize("words", [("--since", "soon"), ("--json", "--html", "x"), ("x",), ("--html",)])
    def test_mistakes_are_usage_errors(
        self, hf_proxy: HfProxy, daemon: ScriptedDaemon, words: tuple[str, ...], tmp_path: Path
    ) -> None:
        daemon.answers["audit"] = [{}]
        failed(hf_proxy("audit", "report", *words), 2)
