"""Policy: decides whether a grant allows an access. Pure: values in, values out."""
