"""The `scan` command, and the migration of tokens into the vault."""
