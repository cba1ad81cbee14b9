"""The head of an answer, as it is sent."""

import pytest

from hfproxy.daemon.listen.interface import ResponseHead
from hfproxy.errors import UpstreamError


def test_a_head_is_sent_line_by_line() -> None:
    assert ResponseHead(200, (("A", "1"), ("B", ""))).wire == b"HTTP/1.1 200 OK\r\nA: 1\r\nB: \r\n"
    assert ResponseHead(599, ()).wire == b"HTTP/1.1 599 \r\n"


def test_bytes_that_are_no_text_leave_as_they_came() -> None:
    assert ResponseHead(200, (("A", "\udce9\xe9"),)).wire == b"HTTP/1.1 200 OK\r\nA: \xe9\xc3\xa9\r\n"


@pytest.mark.parametrize("text", ["a\r\nB: c", "a\nb", "a\rb", "\n", "a\r"])
def test_no_header_becomes_another_line(text: str) -> None:
    for pair in ((text, "x"), ("X", text)):
        with pytest.raises(UpstreamError, match="more than one line"):
            ResponseHead(200, (("A", "1"), pair))
