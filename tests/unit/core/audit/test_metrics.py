"""What is counted, and the text that Prometheus reads."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfproxy.core.audit.metrics import BUCKETS, Counters, exposition, gauge

WORKED = """\
# HELP hf_proxy_requests_total Requests, by decision and by the action they needed first.
# TYPE hf_proxy_requests_total counter
hf_proxy_requests_total{decision="allow",action="read"} 2
hf_proxy_requests_total{decision="deny",action="write"} 1
hf_proxy_requests_total{decision="deny",action="none"} 1
# HELP hf_proxy_refusals_total Refused requests, by reason.
# TYPE hf_proxy_refusals_total counter
hf_proxy_refusals_total{refusal="scope"} 1
hf_proxy_refusals_total{refusal="peer"} 1
# HELP hf_proxy_answers_total Forwarded requests, by the class of status they ended with.
# TYPE hf_proxy_answers_total counter
hf_proxy_answers_total{status="2xx"} 1
hf_proxy_answers_total{status="none"} 1
# HELP hf_proxy_upstream_errors_total Forwarded requests that the Hub did not answer properly.
# TYPE hf_proxy_upstream_errors_total counter
hf_proxy_upstream_errors_total 0
# HELP hf_proxy_body_bytes_total Bytes of bodies, to the Hub and from it.
# TYPE hf_proxy_body_bytes_total counter
hf_proxy_body_bytes_total{direction="up"} 10
hf_proxy_body_bytes_total{direction="down"} 3000000000
# HELP hf_proxy_request_duration_seconds How long forwarded requests took.
# TYPE hf_proxy_request_duration_seconds histogram
hf_proxy_request_duration_seconds_bucket{le="0.05"} 1
hf_proxy_request_duration_seconds_bucket{le="0.1"} 1
hf_proxy_request_duration_seconds_bucket{le="0.25"} 1
hf_proxy_request_duration_seconds_bucket{le="0.5"} 1
hf_proxy_request_duration_seconds_bucket{le="1"} 1
hf_proxy_request_duration_seconds_bucket{le="5"} 1
hf_proxy_request_duration_seconds_bucket{le="30"} 1
hf_proxy_request_duration_seconds_bucket{le="300"} 1
hf_proxy_request_duration_seconds_bucket{le="+Inf"} 2
hf_proxy_request_duration_seconds_sum 301.05
hf_proxy_request_duration_seconds_count 2
"""


def worked() -> Counters:
    counts = Counters()
    counts.decided("allow", "read")
    counts.decided("allow", "read")
    counts.denied_for("scope", "write")
    counts.denied_for("peer")
    counts.completed(200, 10, 3_000_000_000, BUCKETS[0])
    counts.completed(0, 0, 0, 301)
    return counts


def promtool(text: str) -> str:
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    return f"{done.returncode} {done.stdout}{done.stderr}"


def test_the_text_is_this_one_to_the_byte() -> None:
    counts = worked()
    assert exposition(counts.families()) == WORKED
    assert (counts.total, counts.denied) == (4, 2)


@pytest.mark.needs("promtool")
def test_prometheus_own_tool_finds_nothing_to_say_of_it() -> None:
    assert promtool(WORKED) == "0 "
    assert promtool(exposition([*Counters().families(), gauge("build_info", "The version", 1, version="1")])) == "0 "
    assert promtool(WORKED.replace("# TYPE hf_proxy_refusals_total counter", "# TYPE x y")) != "0 "


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_text_gets_out_of_its_label(value: str) -> None:
    line = exposition([gauge("x", "A label", 1, word=value)]).removesuffix("\n").split("\n")[2]
    inner = line.removeprefix('hf_proxy_x{word="').removesuffix('"} 1')
    assert inner.replace("\\\\", "").replace('\\"', "").replace("\\n", "").count('"') == 0
    assert inner.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\") == value
