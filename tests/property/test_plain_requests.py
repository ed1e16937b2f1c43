"""What is read without httptools is read as httptools reads it."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from socketio_fast._core.testing import scan_request

many = examples(1000)


class Parsed:
    """A request as httptools sees it."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.parser = httptools.HttpRequestParser(self)
        self.upgraded = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgraded = True

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def pieces(*texts: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(texts)


spaces = pieces(b"", b" ", b"\t", b"  ")
names = pieces(
    *(b"Host", b"host", b"Connection", b"Upgrade", b"Content-Length", b"Expect"),
    *(b"Transfer-Encoding", b"Origin", b"Proxy-Connection", b"Cookie", b"X-Y", b"TE"),
    *(b"Keep-Alive", b"Content-Length ", b"", b"a b", b"Sec-WebSocket-Key", b"\xe9"),
)
values = pieces(
    *(b"ex.org", b"keep-alive", b"Upgrade", b"close", b"keep-alive, Upgrade", b"0"),
    *(b"websocket", b"WebSocket", b"h2c", b"h2c, websocket", b"3", b"+3", b"3, 3"),
    *(b"03", b"chunked", b"100-continue", b"", b"a\x00b", b"a\r b", b"a\n b", b"\xe9"),
    *(b"4294967299", b"18446744073709551619", b"keep-alive,,Upgrade", b"a\x7fb"),
) | st.binary(max_size=5)
ends = pieces(*[b"\r\n"] * 8, b"\n", b"\r", b"\r\n ")
line = st.tuples(names, pieces(b":"), spaces, values, spaces, ends).map(b"".join)
targets = pieces(b"/", b"/socket.io/?EIO=4", b"*", b"/a#b", b"/\xe9", b"/a b", b"a")
requests = st.builds(
    lambda method, target, version, lines, body: (
        method + b" " + target + version + b"".join(lines) + b"\r\n" + body
    ),
    pieces(b"GET", b"POST", b"get", b"PUT", b"GET "),
    targets,
    pieces(*[b" HTTP/1.1\r\n"] * 6, b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"\r\n"),
    st.lists(st.just(b"Host: a\r\n") | line, max_size=5),
    pieces(b"", b"abc", b"abcGET / HTTP/1.1\r\n"),
)


@many
@given(requests)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcd")
@example(
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)
def test_httptools_agrees(data: bytes) -> None:
    found = scan_request(data)
    if found is None:
        return
    request, upgrade, body, taken = found
    parsed = Parsed(data[:taken])
    assert parsed.complete
    assert request.method.encode() == parsed.parser.get_method()
    assert request.target == parsed.url
    # httptools keeps the space behind a value.
    assert request.headers == [(n, v.strip(b" \t")) for n, v in parsed.headers]
    for name, value in reversed(dict(reversed(request.headers)).items()):
        assert request.header(name) == value  # the first of that name
    sent = {name for name, _ in request.headers}
    for name in {b"origin", b"cookie", b"expect"} - sent:
        assert request.header(name) is None
    assert body == parsed.body
    assert upgrade == parsed.parser.should_upgrade() == parsed.upgraded
    assert parsed.parser.get_http_version() == "1.1"
    assert upgrade or parsed.parser.should_keep_alive()


@many
@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    assert scan_request(b"GET /" + data) is None or data.count(b"\r\n\r\n")


PLAIN = b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "more",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\n",
        b"Content-Length: 0\r\nContent-Length: 0\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\n",
        b"Connection: keep-alive, x\r\n",
        b"Upgrade: websocket\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"Expect: 100-continue\r\n",
        b"Host: b\r\n",
        b"A : b\r\n",
        b"A: b\r\n c\r\n",
        b"A: \x01\r\n",
        b"A: b\n",
        b"A" * 20000 + b": b\r\n",
    ],
)
def test_what_is_left_to_httptools(more: bytes) -> None:
    assert scan_request(PLAIN + b"\r\n") is not None
    assert scan_request(PLAIN + more + b"\r\n") is None


def test_a_length_of_ten_digits_is_left_to_httptools() -> None:
    """Ten digits overflow a size_t of 32 bits: 4294967300 would be 4."""
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: "
    assert scan_request(head + b"000000004\r\n\r\n4abc") is not None
    assert scan_request(head + b"0000000004\r\n\r\n4abc") is None


def test_nothing_but_the_whole_is_taken() -> None:
    data = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n4abc"
    for n in range(len(data)):
        assert scan_request(data[:n]) is None
    request, _, body, taken = scan_request(data + b"more") or pytest.fail("declined")
    assert (request.method, request.target, body) == ("POST", b"/a", b"4abc")
    assert taken == len(data)
