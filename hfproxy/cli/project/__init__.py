"""The `allow` command, and a project's own configuration file."""
