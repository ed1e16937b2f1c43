"""The garbage collector of a process that run() serves in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.ports import free_port
from support.processes import Fork

PROGRAM = """
import gc, os, signal, sys, threading
import socketio_fast as socketio

app, port = socketio.{app}, int(sys.argv[1])
options = {options}

@app.event
def frozen(sid):
    return gc.get_freeze_count()

def ask():
    try:
        client = socketio.Client()
        client.connect(f"http://127.0.0.1:{{port}}", retry=True)
        print(client.call("frozen") > 10_000, flush=True)
        client.disconnect()
    finally:
        os.kill(os.getpid(), signal.SIGINT)

gc.unfreeze()
threading.Thread(target=ask).start()
socketio.run(app, port=port, **options)
print(gc.get_freeze_count())
"""


@pytest.mark.parametrize(
    ("app", "options"),
    [("AsyncServer()", {}), ("Server()", {}), ("AsyncServer()", {"workers": 2})],
)
def test_what_was_made_at_the_start_is_frozen(
    app: str, options: dict[str, int], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(app=app, options=options))
    with Fork(
        [str(program), str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.communicate(timeout=60)
    assert out.splitlines()[-2:] == ["True", "0"], err
