"""Detection of tokens in text and in the content of files. Pure: no file is read here."""
