"""The Hub's HTTP interface: from a request to the access that it attempts, and rewriting of responses."""
