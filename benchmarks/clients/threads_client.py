"""The benchmark's client on a Client, for threads: socketio_fast's, or
python-socketio's."""

from __future__ import annotations

import importlib
import threading

from common import Load, Wrong, parse_arguments


def main() -> None:
    options = parse_arguments("Client")
    package = importlib.import_module(options.package)
    load = Load(options)
    ended = threading.Event()
    # Handlers of python-socketio run in a thread each.
    lock = threading.Lock()
    wrong: list[Wrong] = []
    sio = package.Client(reconnection=False, handle_sigint=False)

    @sio.on("echo")
    def echo(data: str) -> None:
        try:
            with lock:
                text = load.next_message(data)
        except Wrong as error:
            wrong.append(error)
            text = None
        if text is None:
            ended.set()
        else:
            sio.emit("echo", text)

    sio.connect(
        f"http://127.0.0.1:{options.port}", transports=["websocket"], wait_timeout=30
    )
    for text in load.first_messages():
        sio.emit("echo", text)
    ended.wait()
    if wrong:
        raise wrong[0]


if __name__ == "__main__":
    main()
