"""Commands on accounts, tokens and the vault."""
