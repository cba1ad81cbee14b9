"""Finds plaintext tokens on the machine, and removes them from files. Uses neither network nor vault nor daemon."""
