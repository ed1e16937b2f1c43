"""--reload: a changed file, a broken one, and one that is good again."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from support.supervised import APP, about, answering, running, started
from support.waiting import within

pytest.importorskip("watchfiles")


def write(folder: Path, text: str) -> None:
    """Replace the module as editors do."""
    new = folder / "new"
    new.write_text(text)
    new.replace(folder / "app.py")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_change_a_fault_and_its_cure(folder: Path, workers: str) -> None:
    with running(folder, "--workers", workers, "--reload") as server:
        assert (await about(server.port))["version"] == 1
        before = server.workers()
        write(folder, APP.replace("VERSION = 1", "VERSION = 2"))
        server.log.wait_for(r"app\.py changed: reloading")
        server.out.wait_for(" listening on ", count=2)
        assert (await about(server.port))["version"] == 2
        server.log.wait_for("accepts connections", count=2 * int(workers))
        assert await answering(server.port) == set(server.workers().values())
        assert set(server.workers().values()).isdisjoint(before.values())

        write(folder, "1 / 0\n")
        server.log.wait_for("^ZeroDivisionError")
        server.log.wait_for("could not start: .*; waiting for a change")
        with pytest.raises(ConnectionRefusedError):
            await about(server.port)

        write(folder, APP.replace("VERSION = 1", "VERSION = 3"))
        server.out.wait_for(" listening on ", count=3)
        assert (await about(server.port))["version"] == 3
        server.signal(signal.SIGTERM)
        assert server.ended() == 0


async def test_a_module_that_is_broken_from_the_beginning(folder: Path) -> None:
    write(folder, "import there_is_none\n")
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", "--reload")
    with started(*command, cwd=folder) as server:
        server.log.wait_for("ModuleNotFoundError: No module named 'there_is_none'")
        server.log.wait_for("waiting for a change")
        write(folder, APP)
        server.wait_until_listening()
        assert (await about(server.port))["version"] == 1


async def test_clients_do_not_hold_up_a_change(folder: Path) -> None:
    slow = "\n\n@sio.event\nasync def disconnect(sid, reason):\n    import asyncio\n"
    write(folder, f"{APP}{slow}    await asyncio.sleep(3600)\n")
    options = ("--reload", "--shutdown-timeout", "3600")
    with running(folder, *options) as server:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with client:
            client.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n")
            write(folder, APP.replace("VERSION = 1", "VERSION = 2"))
            server.out.wait_for(" listening on ", count=2)
            assert (await about(server.port))["version"] == 2


async def test_only_named_directories_are_watched(folder: Path) -> None:
    (folder / "watched").mkdir()
    (folder / "other").mkdir()
    with running(folder, "--reload", "--reload-dir", "watched") as server:
        (folder / "other" / "one.py").write_text("")
        (folder / "watched" / "data.txt").write_text("")
        (folder / "watched" / "two.py").write_text("")
        await within(
            asyncio.to_thread(server.log.wait_for, "changed: reloading"), seconds=40
        )
        (said,) = [line for line in server.log.lines if "reloading" in line]
        assert said == "watched/two.py changed: reloading"
        server.out.wait_for(" listening on ", count=2)


def test_a_directory_that_is_not_there(folder: Path) -> None:
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", "--reload")
    with started(*command, "--reload-dir", "nowhere", cwd=folder) as server:
        assert server.ended() == 1
        server.log.wait_for("socketio-fast: reload_dirs: 'nowhere' is no directory")
