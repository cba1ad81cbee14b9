"""The `daemon` and `service` commands."""
