"""The git wire protocol: ref updates, pack files, ref names."""
