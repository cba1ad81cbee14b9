"""The journal: an append-only, hash-chained audit record, its writer and its reader."""
