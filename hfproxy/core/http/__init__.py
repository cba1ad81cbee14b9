"""HTTP messages: headers, size limits, and the search for an echoed token."""
