"""Listeners: from an accepted connection to an HTTP request."""
