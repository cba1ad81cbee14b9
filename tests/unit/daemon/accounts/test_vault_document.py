"""The vault's document: its bytes stay what earlier versions wrote, and nothing else is decoded."""

import os

import pytest

from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.daemon.accounts.vault_document import VaultDocument
from hfproxy.errors import VaultError
from hfproxy.secret import Secret

WRITTEN = (
    '{"version":1,"accounts":[{"account":{"name":"default","origin":{"url":"https://hub","ca":"ab"},"user":"me",'
    '"user_id":"1","fullname":"Me","role":"fineGrained","orgs":[["acme","7"]],"scopes":["model me/x: repo.write"],'
    '"login":"l1","revoked_at":1800000000,"uid":1000},"token":"hf_default","refresh":"hf_refresh"},'
    '{"account":{"name":"work","origin":{"url":"https://hub","ca":null},"user":"you","user_id":"2","fullname":"You",'
    '"role":"read","orgs":[],"scopes":[],"login":"l2","revoked_at":null,"uid":1001},"token":"hf_work","refresh":null}],'
    '"journal_key":"00ff"}'
)


def test_a_document_of_an_earlier_version_is_decoded_and_encoded_to_the_same_bytes() -> None:
    document = VaultDocument.decode(Secret(WRITTEN))
    default, work = document.tokens[AccountKey(1000, "default")], document.tokens[AccountKey(1001, "work")]
    assert default.account == Account(
        name="default",
        origin=Origin("https://hub", "ab"),
        user="me",
        user_id="1",
        fullname="Me",
        role="fineGrained",
        orgs=(("acme", "7"),),
        scopes=("model me/x: repo.write",),
        login="l1",
        revoked_at=1_800_000_000,
        uid=1000,
    )
    assert (default.token, default.refresh) == (Secret("hf_default"), Secret("hf_refresh"))
    assert (work.token, work.refresh) == (Secret("hf_work"), None)
    assert document.journal_key == Secret("00ff")
    assert document.encode().reveal() == WRITTEN


def test_a_vault_that_was_never_written_to_has_no_accounts_and_no_key() -> None:
    assert VaultDocument.decode(None) == VaultDocument({}, None)


def test_members_that_older_versions_lack_have_their_defaults() -> None:
    document = VaultDocument.decode(
        Secret(
            '{"version":1,"accounts":[{"account":{"name":"default","origin":{"url":"https://hub"},"user":"me",'
            '"user_id":"1","fullname":"Me","role":"read"},"token":"hf_x"}]}'
        )
    )
    (account_token,) = document.tokens.values()
    assert account_token.account.key == AccountKey(os.getuid(), "default")
    assert account_token.account.revoked is None
    assert (account_token.refresh, document.journal_key) == (None, None)


@pytest.mark.parametrize("text", ["not json", "{}", WRITTEN.replace('"version":1', '"version":1,"more":2')])
def test_another_format_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(VaultError, match="was not written by this hf-proxy") as caught:
        VaultDocument.decode(Secret(text))
    assert "hf_default" not in str(caught.value)


def test_neither_a_document_nor_its_repr_shows_a_secret() -> None:
    document = VaultDocument({AccountKey(1, "a"): AccountToken(_account(), Secret("hf_shown"))}, Secret("key_shown"))
    assert "shown" not in repr(document)


def _account() -> Account:
    return Account(name="a", origin=Origin("https://hub"), user="me", user_id="1", fullname="Me", role="read")
