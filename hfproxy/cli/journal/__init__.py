"""The `audit` commands. `audit verify` shares no code with the writer of the journal."""
