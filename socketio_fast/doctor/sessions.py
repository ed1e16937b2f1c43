"""What a session needs: no cache, processes that know it, answers at once."""

from __future__ import annotations

import asyncio
import contextlib

from socketio_fast.doctor import remedies
from socketio_fast.doctor.findings import Finding, Remedy, Stopwatch
from socketio_fast.doctor.link import Failed, Link, Reply
from socketio_fast.doctor.packets import (
    Opened,
    connect_answer,
    connect_packet,
    in_payload,
    opened,
    packets,
)
from socketio_fast.options.logs import escaped

__all__ = [
    "UNKNOWN_SESSION",
    "check_cache",
    "check_delivery",
    "check_revisions",
    "check_sessions",
    "close_session",
    "joined",
    "not_sticky",
    "open_session",
    "slow_connect",
]

#: What a client may send at any time, by revision: a pong, a ping. A noop is an error
#: for python-engineio.
HARMLESS = {4: "3", 3: "2"}
CLOSE = "1"

#: Engine.IO's code for a session that the server does not know.
UNKNOWN_SESSION = 1


async def open_session(link: Link) -> Opened:
    """A new session by polling.

    Raises:
        Failed: It was not opened.
    """
    reply = await link.get(link.target.engine_url("polling"))
    found = opened(reply.text, link.target.eio) if reply.status == 200 else None
    if found is None:
        raise Failed(ValueError(), reply.shown, reply.seconds)
    return found


async def close_session(link: Link, sid: str, path: str | None = None) -> None:
    """End a session; that it does not work is not told.

    Args:
        link: What makes requests.
        sid: The session's id.
        path: Where its server is, if not at the target's path.
    """
    target = link.target
    with contextlib.suppress(Failed):
        url = target.engine_url("polling", sid=sid, path=path)
        await link.post(url, in_payload(CLOSE, target.eio))


async def check_revisions(link: Link, reply: Reply) -> Finding:
    """Which revisions the server speaks, and who it says it is."""
    target = link.target
    other = 7 - target.eio
    url = target.engine_url("polling", eio=other)
    spoken = [target.eio]
    watch = Stopwatch()
    with contextlib.suppress(Failed):
        answer = await link.get(url, timeout=target.patience)
        found = opened(answer.text, other) if answer.status == 200 else None
        if found is not None:
            spoken.append(found.eio)
            await close_session(link, found.sid)
    revisions = " and ".join(str(each) for each in sorted(set(spoken)))
    said = [
        f"{name}: {escaped(reply.headers[name], 80)}"
        for name in ("Server", "Via", "X-Powered-By", "CF-Ray", "X-Cache")
        if name in reply.headers
    ]
    meaning = (
        "Clients of Socket.IO 2 can connect too."
        if 3 in spoken
        else "Clients of Socket.IO 3 and 4 can connect, those of Socket.IO 2 cannot."
    )
    return Finding(
        "versions",
        "ok",
        "ok",
        "which revisions of Engine.IO it speaks",
        "; ".join([f"revision {revisions} of Engine.IO", *said]),
        meaning,
        seconds=watch.seconds,
    )


async def check_cache(link: Link) -> Finding:
    """Two requests with the same URL open two sessions."""
    tried = "two requests with the same URL"
    watch = Stopwatch()
    try:
        first = await open_session(link)
        second = await open_session(link)
    except Failed as exc:
        return _unstable("cache", tried, exc)
    for each in {first.sid, second.sid}:
        await close_session(link, each)
    if first.sid != second.sid:
        return Finding(
            "cache", "ok", "ok", tried, "two sessions", seconds=watch.seconds
        )
    return Finding(
        "cache",
        "problem",
        "cached",
        tried,
        "the same session twice",
        "A cache before the server answers with what another client has got.",
        remedies.CACHE,
        watch.seconds,
    )


def _unstable(check: str, tried: str, failed: Failed) -> Finding:
    """A session could be opened before, and cannot now."""
    return Finding(
        check,
        "warning",
        "unstable",
        tried,
        failed.text,
        "It has worked a moment ago: a limit of the server or of a proxy, or one of "
        "several servers that fails.",
        Remedy("Run it again; see the logs of the servers, and of the proxy."),
        failed.seconds,
    )


async def check_sessions(link: Link) -> Finding:
    """Requests on different connections find the same session."""
    target = link.target
    tried = f"{target.attempts} requests of one session, each on its own connection"
    watch = Stopwatch()
    lost, other = 0, ""
    try:
        session = await open_session(link)
        url = target.engine_url("polling", sid=session.sid)
        for _ in range(target.attempts):
            reply = await link.post(url, in_payload(HARMLESS[target.eio], target.eio))
            if reply.code == UNKNOWN_SESSION:
                lost += 1
            elif reply.status != 200:
                other = reply.shown
                break
    except Failed as exc:
        return _unstable("sessions", tried, exc)
    await close_session(link, session.sid)
    if lost:
        return not_sticky(
            "sessions", tried, f"{lost} of them got Session ID unknown", watch.seconds
        )
    if other:
        return _unstable("sessions", tried, Failed(ValueError(), other, watch.seconds))
    return Finding("sessions", "ok", "ok", tried, "all found it", seconds=watch.seconds)


def not_sticky(check: str, tried: str, came: str, seconds: float) -> Finding:
    """The finding of a session that another process has."""
    return Finding(
        check,
        "problem",
        "not-sticky",
        tried,
        came,
        "Several processes answer at this URL, and do not share their sessions.",
        remedies.STICKY,
        seconds,
    )


async def check_delivery(link: Link) -> tuple[Finding, str | None]:
    """Join the namespace by polling: the answer comes at once.

    Returns:
        What was found, and the id of a session that goes on: it has joined, and waits.
    """
    target = link.target
    place = escaped(target.namespace)
    tried = f"joining {place} by polling"
    watch = Stopwatch()
    try:
        session = await open_session(link)
        url = target.engine_url("polling", sid=session.sid)
        poll = asyncio.ensure_future(link.get(url, timeout=target.timeout))
        try:
            return await _joined(link, session, url, poll, tried, watch)
        finally:
            poll.cancel()
            with contextlib.suppress(Failed, asyncio.CancelledError):
                await poll
    except Failed as exc:
        return _unstable("delivery", tried, exc), None


async def _joined(
    link: Link,
    session: Opened,
    url: str,
    poll: asyncio.Future[Reply],
    tried: str,
    watch: Stopwatch,
) -> tuple[Finding, str | None]:
    target = link.target
    packet = connect_packet(target.namespace, target.auth, target.eio)
    sent = await link.post(url, in_payload(packet, target.eio))
    if sent.code == UNKNOWN_SESSION:
        return not_sticky("delivery", tried, sent.shown, watch.seconds), None
    if sent.status != 200:
        return _unstable(
            "delivery", tried, Failed(ValueError(), sent.shown, sent.seconds)
        ), None
    await asyncio.wait([poll], timeout=target.patience)
    if not poll.done():
        return await _late(link, session, url, poll, tried, watch), None
    reply = poll.result()
    if reply.status != 200:
        return _unstable(
            "delivery", tried, Failed(ValueError(), reply.shown, reply.seconds)
        ), None
    for each in packets(reply.text, target.eio):
        answer = connect_answer(each, target.namespace)
        if answer is not None:
            return joined("delivery", tried, *answer, watch), session.sid
    return Finding(
        "delivery", "ok", "ok", tried, escaped(reply.text), seconds=watch.seconds
    ), session.sid


def joined(
    check: str, tried: str, admitted: bool, told: str, watch: Stopwatch
) -> Finding:
    """The finding of an answer to a CONNECT packet."""
    if admitted:
        return Finding(
            check, "ok", "ok", tried, "let in, at once", seconds=watch.seconds
        )
    return Finding(
        check,
        "warning",
        "namespace-refused",
        tried,
        escaped(told),
        "Packets get through, and the application refuses this client.",
        Remedy(
            "Is the namespace right (--namespace)? What does its connect handler want "
            "(--auth)? Invalid namespace: the server has no handler for it, and "
            "namespaces= does not name it."
        ),
        watch.seconds,
    )


async def _late(
    link: Link,
    session: Opened,
    url: str,
    poll: asyncio.Future[Reply],
    tried: str,
    watch: Stopwatch,
) -> Finding:
    """The poll is not answered: by whom is it held back?"""
    target = link.target
    came = f"the packet was taken, and no answer came in {target.patience:g} s"
    seconds = watch.seconds
    # A server answers the poll that waits when its client leaves, whatever the
    # application does.
    await close_session(link, session.sid)
    await asyncio.wait([poll], timeout=target.patience)
    if poll.done() and poll.exception() is None:
        return slow_connect("delivery", tried, came, seconds)
    return Finding(
        "delivery",
        "problem",
        "buffered",
        tried,
        came,
        "Polls are not answered when the server has something: a proxy holds responses "
        "back until its buffer is full, or the connection closes.",
        remedies.BUFFERING,
        seconds,
    )


def slow_connect(check: str, tried: str, came: str, seconds: float) -> Finding:
    """The server takes long to let a client in."""
    return Finding(
        check,
        "warning",
        "slow-connect",
        tried,
        came,
        "Packets get through, and the application takes long to decide: its connect "
        "handler, or a middleware.",
        Remedy("What does it wait for? See the log of the server for slow handlers."),
        seconds,
    )
