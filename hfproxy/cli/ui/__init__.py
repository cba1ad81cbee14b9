"""Parsing of arguments, prompts and output, shared by all commands."""
