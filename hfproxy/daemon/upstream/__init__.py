"""The client of the Hub: connections, requests with the token, responses."""
