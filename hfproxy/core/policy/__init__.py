"""Policy: decides whether a grant allows what a request attempts. Pure: values in, values out."""
