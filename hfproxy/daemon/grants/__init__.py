"""Grants that are alive, their store on disk, and their leases on processes."""
