"""The operating system and asyncio. No module here knows the Hub, grants or accounts."""
