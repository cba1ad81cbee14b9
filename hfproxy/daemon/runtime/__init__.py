"""The operating system and asyncio: nothing here knows the Hub, grants or accounts."""
