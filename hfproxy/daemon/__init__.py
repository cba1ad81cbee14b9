"""The shell around the core: sockets, files, processes, the clock. The only room with `async` in it."""
