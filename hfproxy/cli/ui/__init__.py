"""Reading arguments, asking, and printing, for every command."""
