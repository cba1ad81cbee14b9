"""Accounts: tokens by user and name, in the vault and in memory."""
