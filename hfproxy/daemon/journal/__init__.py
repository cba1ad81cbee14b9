"""Writing and reading the journal."""
