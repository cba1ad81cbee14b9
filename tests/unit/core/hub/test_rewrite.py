"""Rewrites: exact bytes where the Hub names itself, and not a byte anywhere else."""

import json
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.hub import rewrite
from hfproxy.core.http.headers import Headers
from hfproxy.core.hub.rewrite import UrlMap

HUB = "https://huggingface.co"
PROXY = "http://127.0.0.1:4880"
PLACES = UrlMap(HUB, PROXY)


def rewritten(pairs: Headers) -> Headers:
    """What the client gets of these headers."""
    return rewrite.headers(pairs, PLACES)


LOCAL = UrlMap("http://127.0.0.1:9000", PROXY)
CREDENTIAL = "hf_px_" + "a" * 33
BASIC = "Basic aGZfdXNlcjpoZl9weF9hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="


# --- Location ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_location", "location"),
    [
        (f"{HUB}/me/new/resolve/main/x?y=%2F#z", "/me/new/resolve/main/x?y=%2F#z"),
        ("HTTPS://HuggingFace.CO/me/new", "/me/new"),
        (f"{HUB}:443/me/new", "/me/new"),
        ("http://huggingface.co/me/new", "/me/new"),
        ("https://hub-ci.huggingface.co/me/new", "/me/new"),
        ("https://hf.co/me/new", "/me/new"),
        ("//huggingface.co/me/new", "/me/new"),
        ("//hf.co/me/new", "/me/new"),
        (HUB, "/"),
        (f"{HUB}?x=1", "/?x=1"),
        (f"{HUB}/api/resolve-cache/models/me/a/{'0' * 40}/x?a=b&etag=%22c%22",
         f"/api/resolve-cache/models/me/a/{'0' * 40}/x?a=b&etag=%22c%22"),
        ("/me/new", "/me/new"),
        ("?x=1", "?x=1"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_location_on_the_hub_becomes_relative(given_location: str, location: str) -> None:
    assert rewritten((("Location", given_location),)) == (("Location", location),)


STRANGERS = [
    "https://cdn-lfs-us-1.hf.co/a/b?X-Amz-Signature=c%2Fd&x=a%20b+c",
    "https://us.aws.cdn.hf.co/x",
    "https://cas-server.xethub.hf.co/v1",
    "https://huggingface.co.evil.example/x",
    "https://evil-huggingface.co/x",
    "https://huggingface.co@evil.example/x",
    "https://user@huggingface.co/x",
    "https://user:pass@huggingface.co/x",
    "https://huggingface.co:8443/x",
    "https://huggingface.co:x/x",
    "https://huggingface.co\\@evil.example/x",
    "https://evil.example\\@huggingface.co/x",
    "https://evil.example/https://huggingface.co/x",
    "https://evil.example?https://huggingface.co/x",
    "https://evil.example#@huggingface.co/x",
    "ftp://huggingface.co/x",
    "javascript://huggingface.co/%0aalert(1)",
    "https:huggingface.co/x",
    "https:///huggingface.co/x",
    "https://[::1/x",
    "https://127.0.0.1:4880/x",
    "//evil.example/x",
    "//evil.example\\x",
    "mailto:x@huggingface.co",
    "https://huggingface\u3002co/x",
    "https://\uff48uggingface.co/x",
]


@pytest.mark.parametrize("url", STRANGERS)
def test_a_url_that_is_not_the_hub_s_is_never_changed(url: str) -> None:
    given_headers = (("Location", url), ("Link", f'<{url}>; rel="next"'), ("X-Xet-Refresh-Route", url))
    assert rewritten(given_headers) == given_headers
    assert not PLACES.is_hub(url)


@pytest.mark.parametrize(
    "tail",
    ["//evil.example/x", "/\\evil.example/x", "///evil.example", "/\t/evil.example", "/\t\\evil.example", "/\n/e.example",
     "/\r//e.example", "\\evil.example", "/ /../..//evil.example", "/%2F/evil.example", "/.//evil.example",
     "/..//evil.example", "/@evil.example", "/:80/x", "?//evil.example", "#//evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("base", [HUB, "https://hf.co", "//huggingface.co", "HTTPS://huggingface.co:443"])
def test_a_hub_location_never_leads_to_another_host(base: str, tail: str) -> None:
    ((_, location),) = rewritten((("Location", base + tail),))
    assert not opens_another_host(location), location


def opens_another_host(location: str) -> bool:
    """What a browser would make of it: it drops tabs and line ends, and takes a backslash for a slash."""
    seen = "".join(letter for letter in location if letter not in "\t\r\n").strip().replace("\\", "/")
    where = urlsplit(urljoin(PROXY, seen)).hostname
    return where not in {"127.0.0.1", *rewrite.HUB_HOSTS}


urls = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["https:", "http:", "HTTPS:", "", "ftp:", "ht\ttps:", " https:"]),
        st.sampled_from(["//", "/", "///", "", "\\\\", "/\\"]),
        st.sampled_from(["huggingface.co", "hf.co", "HF.CO", "evil.example", "a@hf.co", "hf.co@evil.example", ""]),
        st.sampled_from(["", ":443", ":80", ":8443", ":", ":x", "."]),
        st.text(alphabet="/\\.?#@:\t ab%2F", max_size=8),
    ),
)


@given(urls)
@law(2000)
def test_no_location_is_led_astray(url: str) -> None:
    ((_, location),) = rewritten((("Location", url),))
    if location == url:
        return
    assert location.startswith("/")
    assert not opens_another_host(location), location
    # Resolved against the Hub instead of against us, it is the URL that it was.
    assert location in url or location[1:] in url


@given(st.text() | urls)
@law(500)
def test_no_url_makes_a_rewrite_raise_and_only_the_hub_s_are_changed(url: str) -> None:
    relative, absolute = PLACES.to_relative(url), PLACES.to_proxy(url)
    if not PLACES.is_hub(url):
        assert relative == url
        assert absolute in {url, PROXY + url}
    if absolute != url:
        assert absolute.startswith(PROXY + "/")


def test_the_configured_origin_is_the_hub_too() -> None:
    assert LOCAL.to_relative("http://127.0.0.1:9000/x") == "/x"
    assert LOCAL.to_relative(f"{HUB}/x") == "/x"
    assert LOCAL.to_relative("http://127.0.0.1:9001/x") == "http://127.0.0.1:9001/x"
    assert LOCAL.to_relative("https://127.0.0.1:9000/x") == "https://127.0.0.1:9000/x"


def test_the_configured_origin_is_the_hub_in_the_protocol_relative_form_too() -> None:
    # A client resolves it with the scheme of our own address.
    assert LOCAL.to_relative("//127.0.0.1:9000/x") == "/x"


# --- Link and other headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_link", "link"),
    [
        (f'<{HUB}/api/models?cursor=a%3D&limit=5>; rel="next"',
         f'<{PROXY}/api/models?cursor=a%3D&limit=5>; rel="next"'),
        ('</api/models?cursor=a>; rel="next"', f'<{PROXY}/api/models?cursor=a>; rel="next"'),
        (f'<{HUB}/api/models/me/a/xet-read-token/main>; rel="xet-auth", '
         '<https://cas-server.xethub.hf.co/v1/reconstructions/0>; rel="xet-reconstruction-info"',
         f'<{PROXY}/api/models/me/a/xet-read-token/main>; rel="xet-auth", '
         '<https://cas-server.xethub.hf.co/v1/reconstructions/0>; rel="xet-reconstruction-info"'),
        (f'<{HUB}/a>;rel="first",<//hf.co/b>;rel=last; title="x, y"',
         f'<{PROXY}/a>;rel="first",<{PROXY}/b>;rel=last; title="x, y"'),
        ("<?cursor=a>; rel=next", "<?cursor=a>; rel=next"),
        ("<//evil.example/a>; rel=next", "<//evil.example/a>; rel=next"),
        ("<>; rel=next", "<>; rel=next"),
        ("no link", "no link"),
        (f"<{HUB}/a", f"<{HUB}/a"),
    ],
)  # fmt: skip
def test_every_hub_entry_of_a_link_becomes_absolute_at_the_proxy(given_link: str, link: str) -> None:
    assert rewritten((("link", given_link),)) == (("link", link),)


def test_several_link_headers_are_each_rewritten() -> None:
    given_headers = (("Link", f"<{HUB}/a>; rel=a"), ("X", f"<{HUB}/x>"), ("LINK", f"<{HUB}/b>; rel=b"))
    assert rewritten(given_headers) == (
        ("Link", f"<{PROXY}/a>; rel=a"),
        ("X", f"<{HUB}/x>"),
        ("LINK", f"<{PROXY}/b>; rel=b"),
    )


def test_the_refresh_route_becomes_ours_where_it_names_the_hub() -> None:
    route = "/api/models/me/a/xet-read-token/main"
    for given_route, expected in ((HUB + route, PROXY + route), (route, route)):
        given_headers = (("X-Xet-Refresh-Route", given_route),)
        assert rewritten(given_headers) == (("X-Xet-Refresh-Route", expected),)


def test_no_other_header_is_touched() -> None:
    given_headers = tuple((name, f"{HUB}/x") for name in ("Content-Location", "X-Xet-Cas-Url", "Refresh", "Origin"))
    assert rewritten(given_headers) == given_headers


# --- bodies ------------------------------------------------------------------------------------------------------------


def test_a_batch_answer_names_us_for_the_hub_and_storage_as_it_is() -> None:
    storage = {"href": "https://s3.example/put?sig=a%2Fb", "header": {"Authorization": "AWS x", "chunk_size": "5"}}
    answer = {
        "transfer": "multipart",
        "objects": [
            {
                "oid": "0",
                "size": 1,
                "authenticated": True,
                "actions": {
                    "upload": storage,
                    "verify": {
                        "href": f"{HUB}/me/a.git/info/lfs/objects/verify",
                        "header": {"authorization": "Basic cmVhbDp0b2tlbg==", "Accept": "x"},
                        "expires_in": 5,
                    },
                },
            },
            {"oid": "1", "size": 2},
            {"oid": "2", "size": 3, "error": {"code": 404, "message": "gone"}},
            {"oid": "3", "size": 4, "actions": {"upload": {"href": "//hf.co/api/complete_multipart?uploadId=1"}}},
        ],
    }
    expected = json.loads(json.dumps(answer))
    expected["objects"][0]["actions"]["verify"] = {
        "href": f"{PROXY}/me/a.git/info/lfs/objects/verify",
        "header": {"authorization": BASIC, "Accept": "x"},
        "expires_in": 5,
    }
    expected["objects"][3]["actions"]["upload"]["href"] = f"{PROXY}/api/complete_multipart?uploadId=1"
    changed = rewrite.lfs_batch(json.dumps(answer).encode(), PLACES, CREDENTIAL)
    assert changed == json.dumps(expected, separators=(",", ":")).encode()


def test_a_batch_answer_without_hub_addresses_passes_byte_for_byte() -> None:
    raw = b'{ "objects" : [ {"oid":"0","actions":{"upload":{"href":"https://s3.example/x\\u002fy"}}} ] }\n'
    assert rewrite.lfs_batch(raw, PLACES, CREDENTIAL) == raw


@pytest.mark.parametrize(
    "odd", [{"oid": "0", "actions": None}, {"oid": "0", "actions": []}, None, "x", {"actions": {"u": {}}}]
)
def test_one_odd_entry_does_not_keep_the_others_from_being_rewritten(odd: object) -> None:
    # Else the Hub's own Authorization in the other entry would reach the tool.
    verify = {"href": f"{HUB}/v", "header": {"Authorization": "Basic cmVhbDp0b2tlbg=="}}
    raw = json.dumps({"objects": [odd, {"oid": "1", "actions": {"verify": verify}}]}).encode()
    changed = json.loads(rewrite.lfs_batch(raw, PLACES, CREDENTIAL))
    assert changed["objects"][1]["actions"]["verify"] == {"href": f"{PROXY}/v", "header": {"Authorization": BASIC}}


def test_a_xet_fileinfo_answer_names_us_for_the_refresh_and_the_cas_as_it_is() -> None:
    raw = json.dumps({"hash": "a", "refreshUrl": f"{HUB}/api/x", "reconstructionUrl": "https://cas/v1"}).encode()
    assert rewrite.xet_fileinfo(raw, PLACES) == (
        b'{"hash":"a","refreshUrl":"http://127.0.0.1:4880/api/x","reconstructionUrl":"https://cas/v1"}'
    )


HOSTILE = [
    b"",
    b"null",
    b"1",
    b"[]",
    b'"x"',
    b"{}",
    b"{",
    b"\xff",
    b'{"objects":null}',
    b'{"objects":{}}',
    b'{"objects":"abc"}',
    b'{"objects":[1,null,"x",[]]}',
    b'{"objects":[{"actions":"x"}]}',
    b'{"objects":[{"actions":{"upload":null}}]}',
    b'{"objects":[{"actions":{"upload":{"href":1}}}]}',
    b'{"objects":[{"actions":{"upload":{"href":["https://huggingface.co/x"]}}}]}',
    b'{"refreshUrl":1}',
    b'{"refreshUrl":null}',
    b'{"refreshUrl":{"a":1}}',
    b'{"a":' + b"9" * 10_000 + b"}",
    b"[" * 100_000 + b"]" * 100_000,
    b'{"objects":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"refreshUrl":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_a_body_that_is_not_what_it_should_be_passes_as_it_came(raw: bytes) -> None:
    assert rewrite.lfs_batch(raw, PLACES, CREDENTIAL) == raw
    assert rewrite.xet_fileinfo(raw, PLACES) == raw


@given(st.binary(max_size=60))
@law()
def test_no_bytes_make_a_rewrite_raise(raw: bytes) -> None:
    assert rewrite.lfs_batch(raw, PLACES, CREDENTIAL) == raw
    assert rewrite.xet_fileinfo(raw, PLACES) == raw


def test_the_credential_is_presented_as_git_does() -> None:
    assert rewrite.basic(CREDENTIAL) == BASIC
