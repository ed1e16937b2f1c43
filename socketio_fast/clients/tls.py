"""TLS of clients: what ``ssl_verify`` and ``websocket_extra_options`` ask for."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["TlsOptions", "insecure_context", "requests_context"]

SslVerify: TypeAlias = bool | ssl.SSLContext

#: The ``sslopt`` of websocket-client that a context can be made from.
_SSLOPT = frozenset(
    {
        *("context", "ssl_version", "cert_reqs", "check_hostname", "server_hostname"),
        *("ca_certs", "ca_cert_path", "certfile", "keyfile", "password", "cert_chain"),
        *("ciphers", "ecdh_curve"),
        # These are about a blocking socket, and have no meaning here.
        *("do_handshake_on_connect", "suppress_ragged_eofs"),
    }
)


def insecure_context() -> ssl.SSLContext:
    """A context that accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class TlsOptions:
    """What a client's options say of TLS.

    A client without ``http_session=`` uses one context, that of :meth:`context`, for
    both transports. With ``http_session=`` the session's own settings count where the
    options are silent.
    """

    #: ``ssl_verify=``: ``False``, or a context for both transports. ``None``: the
    #: option has its default, ``True``.
    verify: ssl.SSLContext | None
    #: What ``websocket_extra_options=`` have for the WebSocket; ``None``: nothing.
    websocket: ssl.SSLContext | None
    #: The name that the server's certificate must have, where it is not the URL's.
    server_hostname: str | None

    @classmethod
    def of(
        cls,
        ssl_verify: SslVerify = True,
        websocket_extra_options: Mapping[str, Any] | None = None,
    ) -> TlsOptions:
        """Read the options of a client.

        Args:
            ssl_verify: ``True``, ``False``, or a context.
            websocket_extra_options: The options that python-engineio passes on:
                ``ssl``, ``ssl_context``, ``verify_ssl`` and ``server_hostname`` as
                aiohttp takes them, ``sslopt`` as websocket-client does.

        Raises:
            ValueError: An option is not what it should be; a certificate or a key
                cannot be read.
        """
        if ssl_verify is True:
            verify = None
        elif ssl_verify is False:
            verify = insecure_context()
        elif isinstance(ssl_verify, ssl.SSLContext):
            verify = ssl_verify
        else:
            raise ValueError(
                f"ssl_verify={ssl_verify!r}: True, False or an ssl.SSLContext expected"
            )
        options = websocket_extra_options or {}
        sslopt = options.get("sslopt") or {}
        name = options.get("server_hostname") or sslopt.get("server_hostname")
        return cls(verify, _websocket_context(options, sslopt), name)

    def context(self) -> ssl.SSLContext:
        """The context of a client that has no session of its user: of both transports.

        That of ``websocket_extra_options`` goes first: it is the more specific one.
        """
        return self.websocket or self.verify or ssl.create_default_context()


def _websocket_context(
    options: Mapping[str, Any], sslopt: Mapping[str, Any]
) -> ssl.SSLContext | None:
    """What these options ask for; ``None`` if that is nothing."""
    for name in ("ssl", "ssl_context"):
        value = options.get(name)
        if isinstance(value, ssl.SSLContext):
            return value
        if value is False:
            return insecure_context()
        if value not in (None, True):
            raise ValueError(
                f"websocket_extra_options={{{name!r}: {value!r}}}: True, False or an "
                "ssl.SSLContext expected"
            )
    if options.get("verify_ssl") is False:
        return insecure_context()
    return _sslopt_context(sslopt) if sslopt else None


def _sslopt_context(sslopt: Mapping[str, Any]) -> ssl.SSLContext | None:
    """The context that websocket-client would make of its ``sslopt``."""
    if unknown := set(sslopt) - _SSLOPT:
        raise ValueError(
            f"websocket_extra_options: 'sslopt' has {min(map(str, unknown))!r}, which "
            f"is none of {', '.join(sorted(_SSLOPT))}"
        )
    if sslopt.get("context") is not None:
        context = sslopt["context"]
        if not isinstance(context, ssl.SSLContext):
            raise ValueError(
                f"websocket_extra_options: 'sslopt' has the context {context!r}: an "
                "ssl.SSLContext expected"
            )
        return context
    if not set(sslopt) - {"server_hostname"}:
        return None
    try:
        return _made_context(sslopt)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"websocket_extra_options: 'sslopt': {error}") from error


def _made_context(sslopt: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(sslopt.get("ssl_version", ssl.PROTOCOL_TLS_CLIENT))
    required = sslopt.get("cert_reqs", ssl.CERT_REQUIRED)
    check_hostname = sslopt.get("check_hostname", required != ssl.CERT_NONE)
    context.check_hostname = False  # or the mode could not be CERT_NONE
    context.verify_mode = required
    context.check_hostname = check_hostname
    if required != ssl.CERT_NONE:
        _load_authorities(context, sslopt.get("ca_certs"), sslopt.get("ca_cert_path"))
    if sslopt.get("certfile"):
        _load_certificate(
            context,
            sslopt["certfile"],
            sslopt.get("keyfile"),
            sslopt.get("password"),
        )
    if sslopt.get("cert_chain"):
        _load_certificate(context, *sslopt["cert_chain"])
    if "ciphers" in sslopt:
        context.set_ciphers(sslopt["ciphers"])
    if "ecdh_curve" in sslopt:
        context.set_ecdh_curve(sslopt["ecdh_curve"])
    return context


def _load_authorities(
    context: ssl.SSLContext, file: str | None = None, folder: str | None = None
) -> None:
    """Trust these authorities, or those of the system if none are named.

    Raises:
        ValueError: They cannot be read.
    """
    if file is None and folder is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(cafile=file, capath=folder)
    except OSError as error:
        raise ValueError(
            f"cannot read the certificates of authorities in {file or folder!r}: "
            f"{error}"
        ) from error


def _load_certificate(
    context: ssl.SSLContext,
    file: str | os.PathLike[str],
    key: str | os.PathLike[str] | None = None,
    password: str | None = None,
) -> None:
    """Show the server this certificate, which is the client's.

    Raises:
        ValueError: It, or its key, cannot be read.
    """
    try:
        context.load_cert_chain(file, key, password)
    except OSError as error:
        raise ValueError(
            f"cannot read the client's certificate in {os.fspath(file)!r}"
            f"{f' and its key in {os.fspath(key)!r}' if key else ''}: {error}"
        ) from error


def requests_context(verify: bool | str, cert: Any) -> ssl.SSLContext:
    """What ``verify`` and ``cert`` of a ``requests.Session`` mean, as a context.

    Raises:
        ValueError: A file cannot be read.
    """
    import requests.utils

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        path = requests.utils.DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify)
        folder = os.path.isdir(path)
        _load_authorities(context, None if folder else path, path if folder else None)
    if cert:
        _load_certificate(context, *((cert,) if isinstance(cert, str) else cert))
    return context
