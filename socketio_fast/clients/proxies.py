"""Which proxy a client reaches a URL by, from its options and the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

__all__ = [
    "is_socks",
    "proxy_for",
    "proxy_of_websocket_options",
    "proxy_url",
    "shown_url",
]

ProxyOption: TypeAlias = str | Literal[False] | None

#: The schemes of proxies, each with its port if the URL has none.
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080}

#: Other names of them. All names of hosts are resolved by the proxy, as with socks5h.
_SAME = {"socks5h": "socks5", "socks": "socks5"}

_SCHEMES = {"ws": "http", "wss": "https"}


def shown_url(url: str) -> str:
    """A URL for texts that people read: without credentials, query and fragment.

    The query goes because programs put tokens there.
    """
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, mark, rest = bare.rpartition("://")
    # What is no URL may have slashes in its password.
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def is_socks(proxy: str) -> bool:
    """Whether this URL of a proxy, as :func:`proxy_for` returns it, is of SOCKS."""
    return proxy.startswith("socks")


def proxy_url(value: str, source: str = "proxy=") -> str:
    """The URL of a proxy, checked, with its scheme and its port.

    Args:
        value: ``scheme://user:password@host:port``; ``http`` without a scheme. The port
            may be left out, and so may the credentials.
        source: Where the value is from, for the error.

    Raises:
        ValueError: It is no such URL. The text does not have its password.
    """
    if not isinstance(value, str):
        raise ValueError(
            f"{source}{type(value).__name__}: the URL of a proxy as text, None (the "
            "environment says it) or False (no proxy) expected"
        )
    text = value if "://" in value else f"http://{value}"

    def wrong(rule: str) -> ValueError:
        return ValueError(
            f"{source}{shown_url(value)!r}: {rule}; expected "
            "scheme://user:password@host:port"
        )

    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise wrong("a URL has no spaces and no control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong("the host, or the port (1 to 65535), is none") from None
    scheme = _SAME.get(parts.scheme, parts.scheme)
    if scheme not in _PORTS:
        raise wrong(f"the scheme of a proxy is one of {', '.join(_PORTS)}")
    if not host:
        raise wrong("the host is missing")
    if port == 0:
        raise wrong("the host, or the port (1 to 65535), is none")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong(
            "a proxy has no path, query or fragment (in a password, / ? and # are "
            "%2F, %3F and %23)"
        )
    credentials = ""
    if parts.username is not None:
        # What reads this URL next takes a name only together with a password.
        credentials = f"{parts.username}:{parts.password or ''}@"
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{credentials}{host}:{port or _PORTS[scheme]}"


def proxy_for(url: str, proxy: ProxyOption = None) -> str | None:
    """The URL of the proxy by which a URL is to be reached; ``None`` for no proxy.

    Args:
        url: Of http, https, ws or wss.
        proxy: ``proxy=`` of a client: a URL, ``False`` for no proxy, or ``None`` for
            what the environment says: ``HTTPS_PROXY`` for https and wss, ``HTTP_PROXY``
            for http and ws, ``ALL_PROXY`` for both, and ``NO_PROXY``; on macOS and
            Windows the settings of the system if there is none of these.

    Raises:
        ValueError: The URL of the proxy is none.
    """
    if proxy is False:
        return None
    if proxy is not None:
        return proxy_url(proxy)
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme, parts.scheme)
    proxies = _proxies_of_this_machine((scheme, "all"))
    for name in (scheme, "all"):
        if value := proxies.get(name):
            # NO_PROXY may name a port, and has addresses of IPv6 without brackets.
            names = (parts.netloc.rpartition("@")[2], parts.hostname or "")
            if any(map(proxy_bypass, names)):
                return None
            return proxy_url(value, f"{name.upper()}_PROXY=")
    return None


def _proxies_of_this_machine(names: Iterable[str]) -> Mapping[str, str]:
    if getproxies is getproxies_environment and not any(
        os.environ.get(f"{name}_proxy") or os.environ.get(f"{name.upper()}_PROXY")
        for name in names
    ):
        return {}  # getproxies() takes 50 us: it reads the whole environment
    return getproxies()


def proxy_of_websocket_options(options: Mapping[str, Any] | None) -> str | None:
    """The proxy that ``websocket_extra_options`` have for the WebSocket, if any.

    As aiohttp takes them (``proxy``, ``proxy_auth``), or websocket-client
    (``http_proxy_host``, ``http_proxy_port``, ``http_proxy_auth``, ``proxy_type``).

    Raises:
        ValueError: It is no proxy.
    """
    options = options or {}
    source = "websocket_extra_options: proxy="
    if options.get("proxy"):
        return proxy_url(
            _with_credentials(str(options["proxy"]), options.get("proxy_auth")), source
        )
    if not options.get("http_proxy_host"):
        return None
    address = str(options["http_proxy_host"])
    if options.get("http_proxy_port"):
        address += f":{options['http_proxy_port']}"
    url = f"{options.get('proxy_type') or 'http'}://{address}"
    return proxy_url(_with_credentials(url, options.get("http_proxy_auth")), source)


def _with_credentials(url: str, credentials: Any) -> str:
    """The URL with a name and a password, which need not be escaped yet."""
    if not credentials:
        return url
    name, password = (quote(part or "", safe="") for part in tuple(credentials)[:2])
    scheme, _, rest = url.rpartition("://")
    return f"{scheme or 'http'}://{name}:{password}@{rest}"
