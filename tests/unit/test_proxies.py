"""Who a client is, of every form of the headers of proxies."""

from __future__ import annotations

from typing import Any

import pytest
from support.raw import upgrade_request
from support.sansio import Server, make_engine

from socketio_fast._core.http.request import make_request
from socketio_fast._core.testing import judge
from socketio_fast.engineio import AsyncServer
from socketio_fast.exceptions import ProtocolError
from socketio_fast.options.config import EngineConfig
from socketio_fast.serving.proxies import ForwardedClient as Client
from socketio_fast.serving.proxies import TrustedProxies

PROXY = ("10.0.0.1", 5555)
TRUSTED = ["10.0.0.0/8", "2001:db8:aaaa::/48"]
NOBODY = Client(None, None, None)


def told(
    *headers: tuple[str, str],
    trusted: Any = TRUSTED,
    peer: Any = PROXY,
    header: str = "X-Forwarded-For",
) -> Client | None:
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    return TrustedProxies(trusted, header).client(peer, lines)


def forwarded(*values: str, **options: Any) -> Client | None:
    headers = [("Forwarded", value) for value in values]
    return told(*headers, header="Forwarded", **options)


def forwarded_for(*values: str, **options: Any) -> Client | None:
    return told(*(("X-Forwarded-For", value) for value in values), **options)


def address(client: Client | None) -> tuple[str, int] | None:
    assert client is not None
    return client.peer


@pytest.mark.parametrize(
    ("node", "peer"),
    [
        ("192.0.2.43", ("192.0.2.43", 0)),
        ("192.0.2.43:47011", ("192.0.2.43", 47011)),
        ("[2001:db8:cafe::17]", ("2001:db8:cafe::17", 0)),
        ("[2001:DB8:cafe::17]:4711", ("2001:db8:cafe::17", 4711)),
        ("[::ffff:192.0.2.43]", ("192.0.2.43", 0)),
        ("192.0.2.43:_port.1-a", ("192.0.2.43", 0)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("[2001:db8::1]:65536", None),
        ("2001:db8:cafe::17", ("2001:db8:cafe::17", 0)),
        ("unknown", None),
        ("_hidden", None),
        ("_SEVKISEK", None),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("192.0.2.043", None),
        ("[192.0.2.43]", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]", None),
        ("[2001:db8::g]", None),
        ("[fe80::1%eth0]", None),
        ("192.0.2.43:", None),
        ("192.0.2.43:x", None),
        ("192.0.2.43:123456", None),
        ("client.example", None),
        ("127.1", None),
        ("٣.1.1.1", None),
        ("192.0.2.43 192.0.2.44", None),
    ],
)
def test_addresses(node: str, peer: tuple[str, int] | None) -> None:
    """U9: every form of an address; what is none is not taken."""
    assert address(forwarded(f'for="{node}"')) == peer
    assert address(forwarded_for(node)) == peer


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (
            'for="192.0.2.43:80";proto=https;host=a.example',
            Client(("192.0.2.43", 80), "https", "a.example"),
        ),
        ("For=192.0.2.43;PROTO=HTTPS", Client(("192.0.2.43", 0), "https", None)),
        ("for=192.0.2.43 ; proto=http", Client(("192.0.2.43", 0), "http", None)),
        ("by=10.0.0.9;for=192.0.2.43", Client(("192.0.2.43", 0), None, None)),
        ("for=192.0.2.43:80", Client(("192.0.2.43", 80), None, None)),
        ("for=[2001:db8::1]:80", Client(("2001:db8::1", 80), None, None)),
        (r'for="192.0\.2.43"', Client(("192.0.2.43", 0), None, None)),
        ('for=192.0.2.43;x="a,b;for=\\"1"', Client(("192.0.2.43", 0), None, None)),
        (
            'for=192.0.2.43;host="a.example:8443"',
            Client(("192.0.2.43", 0), None, "a.example:8443"),
        ),
        (
            'for=192.0.2.43;host="[2001:db8::1]:80"',
            Client(("192.0.2.43", 0), None, "[2001:db8::1]:80"),
        ),
        ("for=192.0.2.43;proto=wss", Client(("192.0.2.43", 0), "https", None)),
        ("for=192.0.2.43;proto=ftp", Client(("192.0.2.43", 0), None, None)),
        ('for=192.0.2.43;host="a b"', Client(("192.0.2.43", 0), None, None)),
        ('for=192.0.2.43;host="a/b"', Client(("192.0.2.43", 0), None, None)),
        ("proto=https;host=a.example", Client(None, "https", "a.example")),
        ("for=unknown;proto=https", Client(None, "https", None)),
        (", ,for=192.0.2.43,", Client(("192.0.2.43", 0), None, None)),
        ("", None),
        (" , ", None),
    ],
)
def test_forwarded(value: str, client: Client | None) -> None:
    """U9: `Forwarded` by the grammar of RFC 7239."""
    assert forwarded(value) == client


@pytest.mark.parametrize(
    "value",
    [
        "for",
        "for=",
        "=192.0.2.43",
        "192.0.2.43",
        'for="192.0.2.43',
        'for=192.0.2.43"',
        "for =192.0.2.43",
        "for= 192.0.2.43",
        "for=192.0.2.43 proto=https",
        "for=192.0.2.43;for=192.0.2.44",
        "for=192.0.2.43;",
        "for=192.0.2.43;,",
        ';for="192.0.2.43"',
        'for="x, for=192.0.2.43',
        "for=192.0.2.43;pr\x00to=https",
    ],
)
def test_a_broken_line_says_nothing(value: str) -> None:
    """U9: of a line of `Forwarded` that is malformed nothing is taken."""
    assert forwarded(value) == NOBODY
    # What the nearest proxy has sent in a line of its own counts all the same.
    assert address(forwarded(value, "for=192.0.2.50")) == ("192.0.2.50", 0)
    assert address(forwarded("for=192.0.2.50", value)) is None


@pytest.mark.parametrize("separator", [", ", ",", " ,", None])
@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For"])
def test_the_rightmost_that_is_no_proxy(header: str, separator: str | None) -> None:
    """U9: the client is the rightmost entry that is not a trusted proxy, in one line
    or several; what a client has made up is left of it."""

    def client(*nodes: str) -> tuple[str, int] | None:
        if header == "Forwarded":
            nodes = tuple(f'for="{node}"' for node in nodes)
        values = nodes if separator is None else (separator.join(nodes),)
        return address(told(*((header, value) for value in values), header=header))

    assert client("198.51.100.1", "192.0.2.1") == ("192.0.2.1", 0)
    assert client("198.51.100.1", "192.0.2.1", "10.0.0.7") == ("192.0.2.1", 0)
    proxies = "10.0.0.7", "2001:db8:aaaa::5", "[::ffff:10.9.9.9]:80"
    assert client("198.51.100.1", "192.0.2.1:9", *proxies) == ("192.0.2.1", 9)
    assert client("unknown", "192.0.2.1") == ("192.0.2.1", 0)
    assert client("192.0.2.1", "unknown") is None
    assert client("192.0.2.1", "_a", "10.0.0.7") is None
    assert client("10.0.0.3", "10.0.0.7") == ("10.0.0.3", 0)


def test_the_scheme_and_host_are_those_of_the_client() -> None:
    """U9: scheme and host belong to the entry of the client, not to one it made up."""
    assert forwarded(
        "for=198.51.100.1;proto=ftp;host=evil",
        "for=192.0.2.1;proto=https;host=a.example",
        "for=10.0.0.7;proto=http;host=inner",
    ) == Client(("192.0.2.1", 0), "https", "a.example")


@pytest.mark.parametrize(
    ("proto", "host", "scheme", "name"),
    [
        ("https", "a.example", "https", "a.example"),
        ("wss", "a.example:81", "https", "a.example:81"),
        ("http, https, http", "evil, a.example, b", "https", "a.example"),
        ("http, https", "evil, a.example", "https", "a.example"),
        ("gopher", "a b", None, None),
        ("", "", None, None),
        ("https\t", "-", "https", "-"),
    ],
)
def test_x_forwarded(proto: str, host: str, scheme: str | None, name: str) -> None:
    """U9: `X-Forwarded-Proto` and `-Host`: as many as addresses, or the last."""
    assert told(
        ("X-Forwarded-For", "198.51.100.1, 192.0.2.1, 10.0.0.7"),
        ("X-Forwarded-Proto", proto),
        ("X-Forwarded-Host", host),
    ) == Client(("192.0.2.1", 0), scheme, name)


def test_x_forwarded_without_an_address() -> None:
    """U9: a proxy may say the scheme alone."""
    assert told(("X-Forwarded-Proto", "https")) == Client(None, "https", None)
    assert told() is None
    assert told(("X-Real-IP", "192.0.2.1")) is None


def test_one_header_is_believed() -> None:
    """U9: the other one may be the client's own."""
    common, standard = ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")
    scheme = ("X-Forwarded-Proto", "https")
    client = Client(("192.0.2.1", 0), None, None)
    assert told(standard) is None
    assert told(common, header="Forwarded") is None
    assert told(common, header="x-forwarded-for") == client
    assert told(standard, header="FORWARDED") == client
    assert told(common, standard) == client
    assert told(scheme, standard, header="Forwarded") == client
    assert told(common, scheme, standard) == Client(("192.0.2.1", 0), "https", None)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For"])
@pytest.mark.parametrize(
    ("common", "standard", "disagree"),
    [
        ("192.0.2.1", "for=192.0.2.2", True),
        ("192.0.2.1:80", 'for="192.0.2.1:81"', False),
        ("192.0.2.9, 192.0.2.1", "for=192.0.2.8, for=192.0.2.1", False),
        ("192.0.2.1, 192.0.2.9", "for=192.0.2.1, for=192.0.2.8", True),
        ("192.0.2.1", "for=unknown", False),
        ("unknown", "for=192.0.2.1", False),
        ("::ffff:192.0.2.1", "for=192.0.2.1", False),
    ],
)
def test_headers_that_disagree(
    header: str, common: str, standard: str, disagree: bool
) -> None:
    """U9: where two name different clients, one is not the proxy's."""
    headers = ("X-Forwarded-For", common), ("Forwarded", standard)
    if disagree:
        with pytest.raises(ProtocolError, match="disagree"):
            told(*headers, header=header)
    else:
        assert told(*headers, header=header) is not None
    assert told(*headers, header=header, peer=("192.0.2.77", 1)) is None


@pytest.mark.parametrize("hooks", [False, True])
def test_a_request_whose_headers_disagree_is_refused(hooks: bool) -> None:
    """U9: also before hooks are asked, and on the way to a WebSocket."""
    app = AsyncServer(trusted_proxies="*")
    asked = []
    if hooks:
        app.use(lambda environ, headers: asked.append(environ))
    server = Server(app)
    lines = ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.2")
    body = b'{"code":3,"message":"Forwarded and X-Forwarded-For disagree"}'
    assert server.http().get(server.target("polling"), *lines) == (400, body)
    http = server.http()
    http.send(upgrade_request(server.target("websocket"), lines))
    assert http.response()[::2] == (400, body)
    assert not asked


@pytest.mark.parametrize("header", ["X-Real-IP", "", None, 7])
def test_the_header_is_validated(header: Any) -> None:
    """U9: an error names the argument and the value."""
    with pytest.raises(ValueError, match=f"header={header!r}: .*expected"):
        TrustedProxies("*", header)


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        ("10.0.0.0/8", ("10.1.2.3", 1), True),
        ("10.0.0.0/8", ("11.1.2.3", 1), False),
        ("10.0.0.0/8", ("::ffff:10.1.2.3", 1), True),
        ("10.0.0.1", PROXY, True),
        ("2001:db8:aaaa::/48", ("2001:db8:aaaa::1", 1, 0, 0), True),
        ("fe80::/10", ("fe80::1%eth0", 1, 0, 2), True),
        ("*", ("203.0.113.1", 1), True),
        ("*", None, True),
        ("unix", "", True),
        ("unix", b"", True),
        ("unix", PROXY, False),
        ("10.0.0.0/8", "", False),
        (["unix", "10.0.0.1"], PROXY, True),
        (["unix", "10.0.0.1"], None, True),
        ("10.0.0.0/8", ("testclient", 1), False),
    ],
)
def test_who_is_trusted(trusted: Any, peer: Any, believed: bool) -> None:
    """U9: only a peer that is trusted is believed."""
    client = forwarded_for("192.0.2.1", trusted=trusted, peer=peer)
    assert client == (Client(("192.0.2.1", 0), None, None) if believed else None)


def test_everybody_is_trusted() -> None:
    """U9: with "*" the client is the leftmost entry."""
    assert address(forwarded_for("192.0.2.1, 192.0.2.2", trusted="*")) == (
        "192.0.2.1",
        0,
    )


def test_no_more_than_some_entries_are_looked_at() -> None:
    """U9: what a request costs is bounded."""
    proxies = ["10.0.0.7"] * 63
    assert address(forwarded_for(", ".join(["192.0.2.1", *proxies]))) == (
        "192.0.2.1",
        0,
    )
    assert forwarded_for(", ".join(["192.0.2.1", "10.0.0.7", *proxies])) is None


@pytest.mark.parametrize("value", ["10.0.0.0/33", "10.0.0.1/8", "proxy", 7, ["x"]])
def test_the_option_is_validated(value: Any) -> None:
    """U9: an error names the option and the value."""
    with pytest.raises(ValueError, match=r"trusted_proxies=.*expected"):
        EngineConfig(trusted_proxies=value)


@pytest.mark.parametrize("value", [(), [], "", None])
def test_nobody_is_trusted(value: Any) -> None:
    """U9: without the option nobody is asked."""
    assert EngineConfig(trusted_proxies=value).trusted_proxies is None


def admitted(origin: str, peer: Any, headers: dict[str, str], **options: Any) -> bool:
    engine, _, _ = make_engine(**options)
    lines = {"Host": "inner", "Origin": origin, **headers}
    request = make_request(
        "GET",
        b"/engine.io/?EIO=4&transport=polling",
        [(name.encode(), value.encode()) for name, value in lines.items()],
        client_address=peer,
    )
    return judge(engine, request)[0] == 0


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}


@pytest.mark.parametrize(
    ("origin", "peer", "trusted", "expected"),
    [
        ("https://a.example", ("192.0.2.1", 1), (), True),
        ("https://a.example", ("192.0.2.1", 1), TRUSTED, False),
        ("http://inner", ("192.0.2.1", 1), TRUSTED, True),
        ("https://a.example", PROXY, TRUSTED, True),
        ("http://inner", PROXY, TRUSTED, False),
    ],
)
def test_the_own_origin(origin: str, peer: Any, trusted: Any, expected: bool) -> None:
    """U9: anybody's headers say what the own origin is, as in python-engineio, unless
    it is said who is trusted."""
    assert admitted(origin, peer, FORWARDED, trusted_proxies=trusted) is expected


def test_the_environ() -> None:
    """U9: the environ has the client's address, scheme and host."""
    engine, _, _ = make_engine(trusted_proxies=TrustedProxies(TRUSTED, "Forwarded"))
    request = make_request(
        "GET",
        b"/engine.io/?EIO=4&transport=polling",
        [
            (b"Host", b"inner"),
            (b"Forwarded", b'for="[2001:db8::7]:99";proto=https;host=a.example'),
        ],
        client_address=PROXY,
    )
    assert request.proxied_environ() == {}
    judge(engine, request)
    told = {
        "REMOTE_ADDR": "2001:db8::7",
        "REMOTE_PORT": "99",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "a.example",
    }
    assert request.proxied_environ() == told
    assert {**request.environ(), **told} == request.environ()
