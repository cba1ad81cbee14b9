"""Commands on accounts, their tokens and the vault."""
