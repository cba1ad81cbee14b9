"""Commands on grants and on the state of the daemon."""
