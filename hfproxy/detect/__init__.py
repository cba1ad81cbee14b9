"""Detection of tokens in text and in files. Pure: it reads no file."""
