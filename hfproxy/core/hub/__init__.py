"""The Hub: from a request to the access that it attempts."""
