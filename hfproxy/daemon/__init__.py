"""The shell around the core: sockets, files, processes, the clock. Only here is `async`."""
