"""The `scan` command: finding plaintext tokens, and migrating them into the vault."""
