"""A seeded Hub and a daemon that knows the account."""

from fixtures import canary, daemon, hub, no_daemon_is_left, shared_daemons

__all__ = ["canary", "daemon", "hub", "no_daemon_is_left", "shared_daemons"]
