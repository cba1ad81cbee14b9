"""HTTP messages: forwarding of headers, size limits, and detection of an echoed token."""
