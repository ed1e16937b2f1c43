"""The name, the address and TLS: what there is before HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from typing import Any

from socketio_fast.clients.failures import error_chain, failed_attempt
from socketio_fast.coroutines import within
from socketio_fast.doctor.findings import Finding, Remedy, Stopwatch
from socketio_fast.doctor.remedies import CERTIFICATE
from socketio_fast.doctor.target import Target
from socketio_fast.options.logs import escaped

__all__ = ["check_dns", "check_tcp", "check_tls", "explain_certificate", "speaks_tls"]

#: Addresses of a name that are tried.
MOST_ADDRESSES = 6

#: Days before the end of a certificate in which it is warned of.
SOON = 14

# Flags of OpenSSL that the module ssl has no names for in all versions.
PARTIAL_CHAIN = 0x80000
NO_CHECK_TIME = 0x200000


async def check_dns(target: Target) -> tuple[Finding, list[str]]:
    """Look the name up.

    Returns:
        What was found, and the addresses.
    """
    tried = f"the addresses of {escaped(target.host)}"
    watch = Stopwatch()
    loop = asyncio.get_running_loop()
    try:
        found = await within(
            loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM),
            target.timeout,
        )
    except asyncio.TimeoutError:  # an OSError too, since 3.11
        return _no_address(tried, f"no answer in {target.timeout:g} s", watch), []
    except (OSError, UnicodeError) as exc:
        text = exc.strerror if isinstance(exc, OSError) else None
        return _no_address(tried, escaped(text or exc), watch), []
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    return Finding(
        "dns", "ok", "ok", tried, ", ".join(addresses), seconds=watch.seconds
    ), addresses


def _no_address(tried: str, came: str, watch: Stopwatch) -> Finding:
    return Finding(
        "dns",
        "problem",
        "dns-failure",
        tried,
        came,
        "This machine knows no address for the name.",
        Remedy(
            "Is the name right? Does it have a record of type A or AAAA, and does DNS "
            "work here (getent hosts NAME)?"
        ),
        watch.seconds,
    )


async def check_tcp(target: Target, addresses: Sequence[str]) -> Finding:
    """Connect to each address, or to the Unix socket."""
    watch = Stopwatch()
    if target.unix_path is not None:
        error = await _connect_unix(target.unix_path, target.timeout)
        place = escaped(target.unix_path)
        return _tcp_finding(
            f"connecting to the Unix socket {place}", {place: error}, target, watch
        )
    tried = addresses[:MOST_ADDRESSES]
    errors = await asyncio.gather(
        *(_connect(each, target.port, target.timeout) for each in tried)
    )
    places = [_place(each, target.port) for each in tried]
    found = dict(zip(places, errors, strict=True))
    return _tcp_finding(f"connecting to {', '.join(places)}", found, target, watch)


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def _connect(host: str, port: int, timeout: float) -> BaseException | None:
    try:
        _, writer = await within(asyncio.open_connection(host, port), timeout)
    except (OSError, asyncio.TimeoutError) as exc:
        return exc
    writer.transport.abort()
    return None


async def _connect_unix(path: str, timeout: float) -> BaseException | None:
    if sys.platform == "win32":
        raise NotImplementedError  # URLs of unix:// are refused before
    try:
        _, writer = await within(asyncio.open_unix_connection(path), timeout)
    except (OSError, asyncio.TimeoutError) as exc:
        return exc
    writer.transport.abort()
    return None


def _tcp_finding(
    tried: str,
    found: dict[str, BaseException | None],
    target: Target,
    watch: Stopwatch,
) -> Finding:
    failed = {place: error for place, error in found.items() if error is not None}
    told = "; ".join(
        f"{place}: {'accepts' if error is None else _told(error, target)}"
        for place, error in found.items()
    )
    if not failed:
        return Finding("tcp", "ok", "ok", tried, told, seconds=watch.seconds)
    if len(failed) < len(found):
        return Finding(
            "tcp",
            "warning",
            "some-addresses-fail",
            tried,
            told,
            "Clients that try such an address first fail, or wait.",
            Remedy(
                "Let the server listen on all addresses of the name (--host :: for "
                "IPv6), or remove the others from DNS; for localhost, write 127.0.0.1."
            ),
            watch.seconds,
        )
    cause, meaning, remedy = _REFUSALS[_kind(next(iter(failed.values())))]
    return Finding(
        "tcp", "problem", cause, tried, told, meaning, Remedy(remedy), watch.seconds
    )


def _told(error: BaseException, target: Target) -> str:
    if isinstance(error, asyncio.TimeoutError) and not _number(error):
        return f"no answer in {target.timeout:g} s"
    number = _number(error)
    return os.strerror(number) if number else escaped(error)


def _number(error: BaseException) -> int | None:
    for each in error_chain(error):
        if isinstance(each, OSError) and each.errno:
            return each.errno
        for number in (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH):
            if isinstance(each, OSError) and f"[Errno {number}]" in str(each):
                return number
    return None


def _kind(error: BaseException) -> str:
    number = _number(error)
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in (errno.ENOENT, errno.EACCES, errno.EPERM):
        return "file"
    if number is None or number == errno.ETIMEDOUT:
        return "timeout"
    return "unreachable"


_REFUSALS = {
    "refused": (
        "connection-refused",
        "The machine is there, and nobody listens at this port.",
        "Is the server running, and is the port right? A server that listens on "
        "127.0.0.1 is reached from its own machine only: --host 0.0.0.0. For a "
        "container, publish the port.",
    ),
    "file": (
        "no-unix-socket",
        "There is no such file, or this user may not write to it.",
        "Does the server run (--uds FILE), and is the path right? See the file's "
        "permissions.",
    ),
    "timeout": (
        "connect-timeout",
        "The machine does not answer, or a firewall drops the packets.",
        "Open the port in the firewall, or in the security group of the machine.",
    ),
    "unreachable": (
        "unreachable",
        "There is no way from here to this address.",
        "Is this machine in the right network, or its VPN up?",
    ),
}


async def check_tls(target: Target) -> Finding:
    """Shake hands, and read the certificate."""
    host = target.host
    tried = f"TLS with {escaped(host)}:{target.port}"
    watch = Stopwatch()
    try:
        transport = await _handshake(target, target.context)
    except (OSError, asyncio.TimeoutError) as exc:
        error: BaseException = exc
    else:
        seconds = watch.seconds
        certificate = transport.get_extra_info("peercert") or {}
        version = transport.get_extra_info("ssl_object").version()
        transport.abort()
        if target.context.verify_mode == ssl.CERT_NONE:
            return await _unverified(target, tried, seconds)
        return _soon(_valid(tried, version, certificate, seconds), certificate)
    for each in error_chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return await _bad_certificate(target, tried, each, watch.seconds)
    return _no_tls(target, tried, error, watch.seconds)


async def _unverified(target: Target, tried: str, seconds: float) -> Finding:
    """With --insecure: what it hides."""
    return Finding(
        "tls",
        "warning",
        "tls-unverified",
        tried,
        _shown(await _certificate_of(target)),
        "The certificate was not verified (--insecure); other clients verify it.",
        Remedy("Run it without --insecure, with --cacert FILE for your own authority."),
        seconds,
    )


def _valid(
    tried: str, version: str | None, certificate: Any, seconds: float
) -> Finding:
    came = f"{version}, {_shown(certificate)}"
    return Finding("tls", "ok", "ok", tried, came, seconds=seconds)


def _soon(finding: Finding, certificate: Any) -> Finding:
    """A warning instead, if the certificate ends soon."""
    ends = certificate.get("notAfter")
    if ends is None or ssl.cert_time_to_seconds(ends) > time.time() + SOON * 86_400:
        return finding
    return Finding(
        "tls",
        "warning",
        "tls-expires-soon",
        finding.tried,
        finding.came,
        f"The certificate ends in less than {SOON} days.",
        Remedy("Renew it, and see why that does not happen by itself."),
        finding.seconds,
    )


async def _handshake(target: Target, context: ssl.SSLContext) -> asyncio.Transport:
    # Not a stream: one that nobody holds closes its transport.
    transport, _ = await within(
        asyncio.get_running_loop().create_connection(
            asyncio.Protocol,
            target.host,
            target.port,
            ssl=context,
            server_hostname=target.host,
        ),
        target.timeout,
    )
    return transport


#: OpenSSL's codes (X509_V_ERR_…): the cause, what it means, what to do.
_CERTIFICATES: dict[int, tuple[str, str, str]] = {
    9: (
        "tls-not-yet-valid",
        "The certificate is not valid yet.",
        "Are the clocks of this machine, and of the one that made it, right?",
    ),
    10: (
        "tls-expired",
        "The certificate has expired.",
        "Renew it, and reload what serves it: a new file alone does nothing. If it has "
        "been renewed, is the clock of this machine right?",
    ),
    62: (
        "tls-wrong-name",
        "The certificate is for other names than the URL's.",
        "Use a name that it has in the URL, or get a certificate for this name.",
    ),
    18: (
        "tls-self-signed",
        "The certificate is self-signed: no client trusts it by itself.",
        "Get one of an authority, or trust this one: --cacert FILE.",
    ),
}
_CERTIFICATES[64] = _CERTIFICATES[62]

#: Codes of chains that lead to no authority that is trusted.
_NO_AUTHORITY = {2, 19, 20, 21, 27}

_UNTRUSTED = (
    "tls-untrusted",
    "No authority that is trusted here vouches for the certificate. Often the server "
    "sends its own certificate without those between it and the root; browsers find "
    "them elsewhere, other clients do not.",
)


_NOT_ACCEPTED = (
    "tls-not-accepted",
    "Clients do not accept the certificate.",
    "See what it and its chain say: openssl s_client -showcerts -connect HOST:PORT.",
)


def explain_certificate(
    error: ssl.SSLCertVerificationError,
) -> tuple[str, str, Remedy]:
    """What is wrong with a certificate: the cause, what it means, what to do."""
    code = error.verify_code
    if code in _NO_AUTHORITY:
        return *_UNTRUSTED, CERTIFICATE
    cause, meaning, text = _CERTIFICATES.get(code, _NOT_ACCEPTED)
    return cause, meaning, Remedy(text)


async def _bad_certificate(
    target: Target, tried: str, error: ssl.SSLCertVerificationError, seconds: float
) -> Finding:
    certificate = await _certificate_of(target)
    told = escaped(error.verify_message)
    cause, meaning, remedy = explain_certificate(error)
    came = f"{told} ({_shown(certificate)})" if certificate else told
    return Finding("tls", "problem", cause, tried, came, meaning, remedy, seconds)


async def _certificate_of(target: Target) -> dict[str, Any]:
    """The certificate that the server shows, as ``getpeercert()`` has it.

    The module ssl decodes only what it has verified: so the certificate itself is
    trusted for a second handshake, whatever its name and its time.
    """
    with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
        transport = await _handshake(target, _context())
        data = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        transport.abort()
        context = _context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= PARTIAL_CHAIN | NO_CHECK_TIME
        context.load_verify_locations(cadata=data)
        transport = await _handshake(target, context)
        certificate: dict[str, Any] = transport.get_extra_info("peercert") or {}
        transport.abort()
        return certificate
    return {}


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(certificate: dict[str, Any]) -> str:
    """Its names, its time and its authority."""
    if not certificate:
        return "a certificate"
    names = [value for _, value in certificate.get("subjectAltName", ())]
    issuer = [
        value
        for group in certificate.get("issuer", ())
        for key, value in group
        if key in ("organizationName", "commonName")
    ]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return escaped(
        f"a certificate for {', '.join(names[:5]) or 'no name'}{more}, from "
        f"{certificate.get('notBefore')} to {certificate.get('notAfter')}, by "
        f"{', '.join(issuer)}",
        400,
    )


def _no_tls(
    target: Target, tried: str, error: BaseException, seconds: float
) -> Finding:
    text = " ".join(str(each).upper() for each in error_chain(error))
    told = escaped(error) or type(error).__name__
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return Finding(
            "tls",
            "problem",
            "tls-not-spoken",
            tried,
            told,
            "What listens there does not speak TLS.",
            Remedy("Write http:// rather than https://, or serve TLS at this port."),
            seconds,
        )
    if isinstance(error, asyncio.TimeoutError) and not _number(error):
        told = f"no answer in {target.timeout:g} s"
    meaning = failed_attempt(error, target.url, timeout=target.timeout).args[0]
    return Finding(
        "tls",
        "problem",
        "tls-failed",
        tried,
        told,
        str(meaning),
        Remedy(
            "Does the server speak TLS 1.2 or 1.3? Does it ask for a client's "
            "certificate (--cert FILE)? Does a firewall end connections?"
        ),
        seconds,
    )


async def speaks_tls(target: Target) -> bool:
    """Whether the port of a target of http speaks TLS."""
    try:
        transport = await _handshake(target, _context())
    except (OSError, asyncio.TimeoutError):
        return False
    transport.abort()
    return True
