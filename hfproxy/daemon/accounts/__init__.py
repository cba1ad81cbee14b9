"""Accounts: the vault's document and the tokens of open accounts."""
