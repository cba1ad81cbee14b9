"""hf-proxy: short-lived, narrow credentials in place of a Hugging Face token."""

__version__ = "0.1.0"
