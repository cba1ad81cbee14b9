"""The control socket: one request of a command, one answer."""
