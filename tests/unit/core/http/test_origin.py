"""The origin of a URL."""

import pytest

from hfproxy.core.http.origin import same_origin

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (HUB, f"{HUB}:443/x?y", True),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/x", True),
        (HUB, "http://huggingface.co", False),
        (HUB, "https://hf.co", False),
        (HUB, "https://huggingface.co:8443", False),
        ("", "", False),
        ("x", "x", False),
        ("https://a@huggingface.co", "https://a@huggingface.co", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert same_origin(one, other) is same
