"""Which tests one worker of pytest-xdist runs, one after the other."""

# What one worker does, one test after the other: what makes users, bridges, namespaces or a user manager; and what needs
# descriptors, memory or time for itself.
GROUPS = {
    "machine": (
        "e2e/attacks/test_dedicated_user.py",
        "e2e/attacks/test_isolation.py",
        "e2e/containers/",
        "e2e/recovery/test_keyring.py",
        "e2e/service/",
        "e2e/traffic/test_idle.py",
        "unit/vault/test_kernel_key_cache.py",
    ),
    "load": (
        "drills/",
        "e2e/client_quirks/test_large_and_slow.py",
        "e2e/recovery/test_restart.py",
        "e2e/traffic/test_large_bodies.py",
    ),
}


def group_of(nodeid: str) -> str | None:
    """The group of a test; None: it runs in any worker."""
    place = nodeid.removeprefix("tests/")
    return next((group for group, places in GROUPS.items() if place.startswith(places)), None)
