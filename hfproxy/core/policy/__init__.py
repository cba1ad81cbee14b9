"""Policy: from an access and a grant to a decision."""
