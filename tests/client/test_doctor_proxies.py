"""socketio-fast doctor behind nginx and HAProxy: what it names, and that this helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ports import free_port
from support.real_proxies import haproxy, nginx

import socketio_fast as socketio
from socketio_fast.doctor import Finding, Target, examine, problems_of, remedies

LOCATION = """
location / {{
    proxy_pass http://{upstream};
    {lines}
}}
"""

HTTP = "proxy_http_version 1.1;"
WEBSOCKETS = remedies.UPGRADE.configuration["nginx"]


async def problems(url: str, *, idle: bool = False) -> list[Finding]:
    target = Target(url, patience=0.5, timeout=10, idle=idle)
    return problems_of([each async for each in examine(target)])


def lines_of(finding: Finding, proxy: str, port: int) -> str:
    lines = finding.remedy.configuration[proxy]
    return lines.replace("127.0.0.1:5000", f"127.0.0.1:{port}")


async def test_nginx_strips_upgrade(tmp_path: Path) -> None:
    async with await socketio.serve(socketio.AsyncServer(), port=0) as server:
        upstream = f"127.0.0.1:{server.port}"
        block = LOCATION.format(upstream=upstream, lines=HTTP)
        async with nginx(tmp_path, block) as proxy:
            (finding,) = await problems(proxy.url)
        assert finding.cause == "upgrade-stripped"
        lines = lines_of(finding, "nginx", server.port)
        block = LOCATION.format(upstream=upstream, lines=lines)
        async with nginx(tmp_path, block) as proxy:
            assert not await problems(proxy.url)


async def test_nginx_closes_idle_connections(tmp_path: Path) -> None:
    sio = socketio.AsyncServer(ping_interval=2, ping_timeout=2)
    async with await socketio.serve(sio, port=0) as server:
        upstream = f"127.0.0.1:{server.port}"
        lines = f"{WEBSOCKETS} proxy_read_timeout 1s;"
        block = LOCATION.format(upstream=upstream, lines=lines)
        async with nginx(tmp_path, block) as proxy:
            found = await problems(proxy.url, idle=True)
        assert {each.cause for each in found} == {"idle-timeout"}
        assert {each.check for each in found} == {"idle polling", "idle websocket"}
        lines = f"{WEBSOCKETS} {lines_of(found[0], 'nginx', server.port)}"
        block = LOCATION.format(upstream=upstream, lines=lines)
        async with nginx(tmp_path, block) as proxy:
            assert not await problems(proxy.url, idle=True)


async def test_nginx_without_sticky_sessions(tmp_path: Path) -> None:
    first = await socketio.serve(socketio.AsyncServer(), port=0)
    second = await socketio.serve(socketio.AsyncServer(), port=0)
    async with first, second:
        both = f"server 127.0.0.1:{first.port}; server 127.0.0.1:{second.port};"
        block = LOCATION.format(upstream="both", lines=WEBSOCKETS)
        async with nginx(tmp_path, block, f"upstream both {{ {both} }}") as proxy:
            (finding,) = await problems(proxy.url)
        assert finding.cause == "not-sticky"
        lines = lines_of(finding, "nginx", 0)
        upstream = f"upstream both {{ {lines}\n{both} }}"
        async with nginx(tmp_path, block, upstream) as proxy:
            assert not await problems(proxy.url)


async def test_nginx_without_a_server(tmp_path: Path) -> None:
    block = LOCATION.format(upstream=f"127.0.0.1:{free_port()}", lines=HTTP)
    async with nginx(tmp_path, block) as proxy:
        (finding,) = await problems(proxy.url)
    assert finding.cause == "bad-gateway"


async def test_nginx_caches(tmp_path: Path) -> None:
    cache = f"proxy_cache_path {tmp_path}/cache keys_zone=one:1m;"
    lines = (
        f"{WEBSOCKETS} proxy_cache one; proxy_cache_valid any 1m; "
        "proxy_ignore_headers Cache-Control;"
    )
    async with await socketio.serve(socketio.AsyncServer(), port=0) as server:
        upstream = f"127.0.0.1:{server.port}"
        block = LOCATION.format(upstream=upstream, lines=lines)
        async with nginx(tmp_path, block, cache) as proxy:
            (finding,) = await problems(proxy.url)
        assert finding.cause == "cached"
        lines = f"{WEBSOCKETS} {lines_of(finding, 'nginx', server.port)}"
        block = LOCATION.format(upstream=upstream, lines=lines)
        async with nginx(tmp_path, block, cache) as proxy:
            assert not await problems(proxy.url)


async def test_haproxy_closes_idle_connections(tmp_path: Path) -> None:
    sio = socketio.AsyncServer(ping_interval=2, ping_timeout=2)
    async with await socketio.serve(sio, port=0) as server:
        block = (
            "backend socketio\n timeout server 1s\n timeout tunnel 1s\n"
            f" server one 127.0.0.1:{server.port}\n"
        )
        async with haproxy(tmp_path, block) as proxy:
            found = await problems(proxy.url, idle=True)
        assert {each.cause for each in found} == {"idle-timeout"}
        lines = lines_of(found[0], "haproxy", server.port).partition("# in")[0]
        block = f"backend socketio\n{lines}\nserver one 127.0.0.1:{server.port}\n"
        async with haproxy(tmp_path, block) as proxy:
            assert not await problems(proxy.url, idle=True)


async def test_haproxy_without_sticky_sessions(tmp_path: Path) -> None:
    first = await socketio.serve(socketio.AsyncServer(), port=0)
    second = await socketio.serve(socketio.AsyncServer(), port=0)
    async with first, second:
        both = "".join(
            f" server s{each.port} 127.0.0.1:{each.port}\n" for each in (first, second)
        )
        async with haproxy(tmp_path, f"backend socketio\n{both}") as proxy:
            (finding,) = await problems(proxy.url)
        assert finding.cause == "not-sticky"
        lines = lines_of(finding, "haproxy", 0)
        async with haproxy(tmp_path, f"backend socketio\n{lines}\n{both}") as proxy:
            assert not await problems(proxy.url)


@pytest.mark.parametrize(
    "name", ["UPGRADE", "BUFFERING", "CACHE", "GATEWAY", "ONE_ORIGIN"]
)
async def test_the_lines_are_accepted(tmp_path: Path, name: str) -> None:
    remedy = getattr(remedies, name)
    server = free_port()
    lines = remedy.configuration["nginx"].replace("5000", str(server))
    upstream = f"127.0.0.1:{server}"
    block = LOCATION.format(upstream=upstream, lines=lines)
    if "proxy_pass" in lines:
        block = f"location / {{ {lines} }}"
    async with nginx(tmp_path, block):
        pass
    lines = remedy.configuration["haproxy"].replace("5000", str(server))
    async with haproxy(tmp_path, f"backend socketio\n{lines}\n"):
        pass
