"""The parts of a supervisor: options, messages, sockets, files, what is told."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.processes import python

import socketio_fast as socketio

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes")

if hasattr(os, "fork"):
    from socketio_fast.workers import listening as listening_module
    from socketio_fast.workers import options as options_module
    from socketio_fast.workers.control import Channel
    from socketio_fast.workers.listening import Listening
    from socketio_fast.workers.options import worker_count
    from socketio_fast.workers.pidfile import pidfile
    from socketio_fast.workers.slot import LONGEST_DELAY, YOUNG, Slot
    from socketio_fast.workers.status import COLUMNS, table
    from socketio_fast.workers.worker import how_it_ended


# --- options --------------------------------------------------------------------


def test_the_number_of_workers() -> None:
    assert worker_count(4) == 4
    assert worker_count(2.0) == 2
    assert 1 <= worker_count("auto") <= (os.cpu_count() or 1)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", "many", None, True, 257])
def test_no_number_of_workers(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^workers=.*: a number from 1 to 256, or "):
        worker_count(value)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("max 100000\n", None),
        ("", None),
        ("1 0", None),
        (None, None),
    ],
)
def test_the_quota_of_a_container(
    tmp_path: Path, text: str | None, cores: float | None
) -> None:
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    assert options_module._quota(str(tmp_path)) == cores


def test_a_container_with_a_part_of_a_core_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options_module, "_quota", lambda: 0.2)
    assert worker_count("auto") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_worker_age": 0}, "max_worker_age=0: seconds above 0, or None"),
        ({"max_worker_age": "1h"}, "max_worker_age='1h': seconds above 0"),
        ({"max_worker_memory": -1}, "max_worker_memory=-1: bytes above 0"),
        ({"worker_timeout": float("inf")}, "worker_timeout=inf: seconds above 0"),
        ({"reload_dirs": "src"}, "reload_dirs='src': a list of directories"),
        ({"workers": 0}, "workers=0: a number from 1"),
        ({"reload": True}, 'reload=True with an object: .* a name, "module:app"'),
        ({"factory": True}, "factory=True with an object"),
        ({"workers": 2, "port": 70000}, "port=70000: a number from 0"),
        ({"workers": 2, "drain_rate": 0}, "drain_rate=0: clients per second"),
    ],
)
def test_options_of_run_that_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        socketio.run(socketio.AsyncServer(), **{"port": 0, **options})


def test_an_ssl_context_cannot_be_passed_to_another_interpreter() -> None:
    import ssl

    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="write ssl_certfile= and ssl_keyfile="):
        socketio.run("app:app", workers=2, ssl=context)


@pytest.mark.parametrize("name", ["app", ":app", "app:"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_that_is_none(name: str, workers: int) -> None:
    with pytest.raises(ValueError, match=f"'{name}': module:app expected"):
        socketio.run(name, workers=workers)


def test_workers_are_supervised_in_the_main_thread() -> None:
    raised = []

    def run() -> None:
        try:
            socketio.run(socketio.AsyncServer(), port=0, workers=2)
        except RuntimeError as exc:
            raised.append(str(exc))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "call run() there" in raised[0]


async def test_workers_beside_a_running_event_loop() -> None:
    with pytest.raises(RuntimeError, match=r"write await socketio\.serve"):
        socketio.run(socketio.AsyncServer(), port=0, workers=2)


def test_a_system_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(RuntimeError, match=f"which processes of {sys.platform} cannot"):
        socketio.run(socketio.AsyncServer(), port=0, workers=2)


def test_one_process_alone_imports_no_supervisor(tmp_path: Path) -> None:
    program = (
        "import sys, socketio_fast; socketio_fast.run; "
        "print([name for name in sys.modules if name.endswith('workers.supervisor')])"
    )
    assert python("-c", program, cwd=tmp_path, check=True).stdout == "[]\n"


# --- messages -------------------------------------------------------------------


def test_messages_arrive_whole_and_in_order() -> None:
    one, two = socket.socketpair()
    with one, two:
        sender, receiver = Channel(one), Channel(two)
        assert receiver.receive() == ([], False)
        sender.send({"a": 1})
        sender.send({"b": "line\nbreak"})
        assert receiver.receive() == ([{"a": 1}, {"b": "line\nbreak"}], False)
        two.send(b'{"half":')
        assert sender.receive() == ([], False)
        two.send(b" 1}\n")
        assert sender.receive() == ([{"half": 1}], False)
        sender.send({"last": 1})
        sender.close()
        assert receiver.receive() == ([{"last": 1}], True)
        receiver.send({"nobody": "reads"})  # is no error


def test_a_peer_that_does_not_read_loses_what_may_be_dropped_alone() -> None:
    one, two = socket.socketpair()
    with one, two:
        sender, receiver = Channel(one), Channel(two)
        big = "x" * 10_000
        for number in range(200):
            sender.send({"beat": number, "x": big}, droppable=True)
        sender.send({"order": "stop"})
        received = []
        while not received or received[-1] != {"order": "stop"}:
            messages, closed = receiver.receive()
            assert not closed
            received += messages
            sender.send({"beat": -1}, droppable=True)  # sends the rest first
            received = [each for each in received if each.get("beat") != -1]
        beats = [each["beat"] for each in received[:-1]]
        assert beats == list(range(len(beats)))
        assert 0 < len(beats) < 200


# --- sockets --------------------------------------------------------------------


def test_slots_share_a_port() -> None:
    listening = Listening.on_port("127.0.0.1", 0, 16, 3)
    try:
        ports = {sock.getsockname()[1] for sock in listening.sockets()}
        assert len(ports) == 1
        apart = sys.platform == "linux"
        assert len(listening.sockets()) == (3 if apart else 1)
        with pytest.raises(OSError, match="already in use"):
            Listening.on_port("127.0.0.1", ports.pop(), 16, 3)
    finally:
        listening.close()


def test_sockets_are_opened_again_on_the_same_port() -> None:
    for slots in (1, 2):
        listening = Listening.on_port("127.0.0.1", 0, 16, slots)
        port = listening.slots[0][0].getsockname()[1]
        listening.close()
        assert listening.sockets() == []
        listening.reopen()
        assert listening.slots[0][0].getsockname()[1] == port
        listening.close()


def test_no_process_blocks_another_that_accepts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        for listening in (
            Listening.on_port("127.0.0.1", 0, 16, 2),
            Listening.on_file(tmp_path / "s", 16, 2),
            Listening.on_given([given], 16, 2),
        ):
            for _ in range(2):
                for sock in listening.sockets():
                    with sock.dup() as copy:
                        assert not os.get_blocking(copy.fileno())
                    assert not os.get_blocking(sock.fileno())
                listening.close()
                listening.reopen()
            listening.close()


def test_the_file_of_another_server_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Listening.on_file(path, 16, 2)
    second = Listening.on_file(path, 16, 2)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_a_unix_socket_that_cannot_be_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Listening.on_file(tmp_path / "nowhere" / "s", 16, 2)


def test_sockets_of_systemd_for_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert listening_module.activated_sockets() == []
    assert os.environ["LISTEN_FDS"] == "1"


# --- files and texts ------------------------------------------------------------


def test_a_file_with_the_process_id(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"
        path.write_text("1\n")  # another process has taken it over
    assert path.read_text() == "1\n"
    with pytest.raises(FileExistsError, match="process 1 runs"), pidfile(path):
        pass
    path.write_text("what?")
    with pidfile(path):
        pass
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError), pidfile(tmp_path / "no" / "pid"):
        pass


def test_how_a_process_ended() -> None:
    assert how_it_ended(3) == "ended with the exit code 3"
    assert how_it_ended(-9) == "was ended by SIGKILL"
    assert how_it_ended(-99) == "was ended by signal 99"


def test_delays_grow_until_a_worker_lives() -> None:
    def worker(age: float) -> Any:
        return SimpleNamespace(state="accepting", age=age)

    slot = Slot(0)
    delays = [slot.delay_after(worker(0)) for _ in range(12)]
    assert delays[0] == 0
    assert delays[:7] == sorted(delays[:7])
    assert max(delays) <= LONGEST_DELAY
    assert slot.delay_after(worker(YOUNG)) == 0
    assert slot.delay_after(worker(0)) > 0
    starting = SimpleNamespace(state="starting", age=YOUNG)
    assert slot.delay_after(starting) > 0  # it has not lived, it has started for long


def test_the_table_of_workers() -> None:
    workers = [
        {
            "worker": 0,
            "pid": 71,
            "state": "accepting",
            "age": 7300,
            "silent": 0.5,
            "clients": 12,
            "connections": 13,
            "memory": 50 * 1024 * 1024,
            "cpu_per_second": 0.25,
            "packets_in_per_second": 100.4,
            "packets_out_per_second": 7.0,
        },
        {"worker": 1, "pid": 72, "state": "accepting", "age": 70, "silent": 70.0},
        {"worker": 2, "state": "down"},
    ]
    told = {"version": "1", "url": None, "pid": 70, "age": 1, "workers": workers}
    head, columns, *rows = table(json.loads(json.dumps(told))).splitlines()
    assert head == "socketio_fast 1 on nothing yet, supervisor 70, up 1 s"
    assert re.split(" +", columns.strip()) == list(COLUMNS)
    assert rows[0].split("  ")[-1].strip() == "7"
    assert "2.0 h" in rows[0]
    assert "50.0 MiB" in rows[0]
    assert "25 %" in rows[0]
    assert "accepting, silent for 1.2 min" in rows[1]
    assert rows[2].split() == ["2", "-", "down", *"-------"]
