"""The data plane: from an HTTP request to a decision, and on to the Hub."""
