"""Living grants: the registry, their store on disk, their leases on processes, and the connections they use."""
