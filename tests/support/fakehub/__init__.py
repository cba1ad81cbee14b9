"""A Hugging Face Hub for tests: real TLS on loopback, real clients, every byte on record."""

from .record import Record
from .remote import FakeHubProcess, in_thread
from .server import FakeHub, environment
from .world import Settings

__all__ = ["FakeHub", "FakeHubProcess", "Record", "Settings", "environment", "in_thread"]
