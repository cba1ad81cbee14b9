"""Tokens that lie about in the clear: finding them, and taking them out of files. No network, no vault, no daemon."""
