"""The `audit` commands. `verify` shares no code with the writer of the journal."""
