"""The Hub as a server: connections, requests with the token, responses."""
