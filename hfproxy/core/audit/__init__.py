"""The journal: its hash chain, and reports on its entries."""
