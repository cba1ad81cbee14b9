"""The `completion` command: candidates, and scripts for bash, zsh and fish."""
