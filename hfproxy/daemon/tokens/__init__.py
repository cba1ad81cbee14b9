"""The life of a token at the Hub: identify, check, import, rotate, revoke."""
