"""Exit codes of commands that run another program."""

NO_DAEMON = 125

NOT_EXECUTABLE = 126

NOT_FOUND = 127
