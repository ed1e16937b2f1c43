"""nginx and HAProxy, on a free port of 127.0.0.1, where they are installed."""

from __future__ import annotations

import asyncio
import getpass
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.interop import within
from support.ports import free_port

__all__ = ["haproxy", "nginx"]

NGINX = """
user {user};
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    {http}
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {block}
    }}
}}
"""

HAPROXY = """
defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend all
    bind 127.0.0.1:{port}
    default_backend socketio
{block}
"""


def nginx(
    folder: Path, block: str, http: str = ""
) -> AbstractAsyncContextManager[SimpleNamespace]:
    """Start nginx; its ``url`` says where.

    Args:
        folder: For its files.
        block: What is in its ``server``.
        http: What is in ``http`` besides.
    """
    config = NGINX.format(
        user=getpass.getuser(), folder=folder, port="PORT", block=block, http=http
    )
    return _proxy("nginx", lambda file: ["-c", file, "-p", str(folder)], folder, config)


def haproxy(
    folder: Path, block: str, mode: str = "http"
) -> AbstractAsyncContextManager[SimpleNamespace]:
    """Start HAProxy; its ``url`` says where.

    Args:
        folder: For its files.
        block: Its backends, of which ``socketio`` is the default.
        mode: ``"http"`` or ``"tcp"``.
    """
    config = HAPROXY.format(mode=mode, port="PORT", block=block)
    return _proxy("haproxy", lambda file: ["-db", "-f", file], folder, config)


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


@asynccontextmanager
async def _proxy(
    name: str, arguments: Callable[[str], list[str]], folder: Path, config: str
) -> AsyncIterator[SimpleNamespace]:
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    port = free_port()
    file = folder / "config"
    file.write_text(config.replace("PORT", str(port)))
    process = await asyncio.create_subprocess_exec(program, *arguments(str(file)))
    try:
        await within(_listening(port), name)
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        await process.wait()
