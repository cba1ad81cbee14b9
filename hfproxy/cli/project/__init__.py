"""The `allow` command, and the project file."""
