"""Requests that are almost what a vector has: accepted ones with hostile pieces put in."""

import vectors
from hypothesis import strategies as st

OF_ROUTES = vectors.load("routes.jsonl")
CONFUSION = vectors.load("path_confusion.jsonl")
CALLS = vectors.load("calls.jsonl")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

HOSTILE = [
    "..", ".", "/", "//", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", ";", "..;", "/../", "/./", "/..%2f", "%252e",
    "%252f", "%00", "?", "#", "%", "%25", "%c0%ae", "%c0%af", "/api/", "/datasets/", "/other/b", "b", ".git", "@",
    ":", "*", "~", "%20", "é", "%C3%A9", "\u2024", "jwt", "/jwt", "/resolve/main/x", "tree", "refs%2Fpr%2F1",
    "?create_pr=1", "&hot_reload=1", "?_method=PUT", "http://x", "resolve-cache/", "%6a", "%4A",
    "0123456789abcdef0123456789abcdef01234567", "/info/refs", "?service=git-receive-pack", "&service=git-upload-pack",
    "/api/buckets/", "/buckets/", "/kernels/", "/api/jobs/", "organizations/", "/git-receive-pack", "refs/pr/1/",
]  # fmt: skip
GOOD = sorted({(str(one["method"]), str(one["target"])) for one in [*OF_ROUTES, *CALLS] if vectors.accepted(one)})


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """An accepted request with a few hostile pieces put in, or characters encoded or changed in case."""
    method, raw = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(raw)))
        match draw(st.sampled_from(["insert", "replace", "encode", "case", "cut", "double"])):
            case "insert":
                raw = raw[:place] + draw(st.sampled_from(HOSTILE)) + raw[place:]
            case "replace":
                raw = raw[:place] + draw(st.sampled_from(HOSTILE)) + raw[place + 1 :]
            case "encode" if place < len(raw):
                raw = raw[:place] + "".join(f"%{byte:02x}" for byte in raw[place].encode()) + raw[place + 1 :]
            case "case":
                raw = raw[:place] + raw[place : place + 4].swapcase() + raw[place + 4 :]
            case "cut":
                raw = raw[:place] + raw[place + draw(st.integers(1, 6)) :]
            case _:
                raw = raw[:place] + raw[place : place + 1] + raw[place:]
    return draw(st.sampled_from([method, method, method, "GET", "POST"])), raw
