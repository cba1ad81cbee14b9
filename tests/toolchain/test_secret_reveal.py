"""The places where a secret's text is taken out of its `Secret`: a closed list.

Each call of `Secret.reveal()` is a place where a token, a passphrase or a key can leak. A new one fails here until it is
added to the list, with the reason why it is needed.
"""

from collections import Counter

from toolchain.shape import ROOT, calls_of, modules

REVEALS = {
    # Tokens: into the header or the body of a request to the Hub, and into the patterns that find echoes in responses.
    "hfproxy.daemon.upstream.client:UpstreamClient._token": 1,
    "hfproxy.daemon.accounts.model:AccountToken.echo_patterns": 1,
    # Tokens and the journal's key, in the document that the vault stores.
    "hfproxy.daemon.accounts.vault_document:VaultDocument.decode": 1,
    "hfproxy.daemon.accounts.vault_document:VaultDocument.encode": 1,
    "hfproxy.daemon.accounts.vault_document:_to_stored": 2,
    # Tokens in the caller's environment are compared with those of the vault.
    "hfproxy.daemon.control.minting:GrantIssuer._tokens_among": 1,
    # The journal's key, for MACs.
    "hfproxy.daemon.journal.writer:JournalWriter._key_bytes": 1,
    "hfproxy.daemon.control.projects:ProjectTrust._key": 1,
    # The document, its passphrase and its key, between the backends of the vault.
    "hfproxy.vault.envelope:Sealer.unlock_with_key": 1,
    "hfproxy.vault.envelope:Sealer.seal": 1,
    "hfproxy.vault.envelope:_derive": 1,
    "hfproxy.vault.keyring_item:KeyringItem.write": 2,
    "hfproxy.vault.kernel_key_cache:KernelKeyCache.put": 1,
    "hfproxy.vault.keyring_vault:KeyringVault._inspect_item": 1,
    "hfproxy.vault.keyring_vault:_envelope": 1,
    # What a person typed or `scan` found, into a request over the control socket.
    "hfproxy.cli.ui.passphrase:read_passphrase": 1,
    "hfproxy.cli.scan.migrate:identify_owners": 1,
    "hfproxy.cli.scan.migrate:_import_token": 2,
}


def test_every_place_that_reveals_a_secret_is_listed() -> None:
    assert Counter(place for module in modules(ROOT).values() for place in calls_of("reveal", module)) == REVEALS


def test_a_secret_s_text_is_read_past_reveal_nowhere() -> None:
    """`Secret._text` is the text itself: only the class may name it."""
    naming = [name for name, module in modules(ROOT).items() if "._text" in module.path.read_text()]
    assert naming == ["hfproxy.secret"]
