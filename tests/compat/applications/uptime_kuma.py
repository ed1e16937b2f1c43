"""uptime-kuma-api, a client for threads: a server of ours stands in for Uptime Kuma."""

from __future__ import annotations

from compat.applications.support import TESTS, Environment

PACKAGE = "uptime-kuma-api"
REQUIREMENTS = ["uptime-kuma-api"]

PROGRAM = """
import subprocess
import sys
import socketio
from uptime_kuma_api import MonitorType, Timeout, UptimeKumaApi, UptimeKumaException

print("socketio is", socketio.__name__)
server = subprocess.Popen(
    [sys.executable, sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
try:
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    with UptimeKumaApi(url + "/", headers={"X-Trace": "1"}, wait_events=0.5) as api:
        try:
            api.login("admin", "wrong")
        except UptimeKumaException as exc:
            print("login:", exc)
        token = api.login("admin", "secret")["token"]
        print("token:", token)
        print("by token:", api.login_by_token(token))
        print("version:", api.version)
        added = api.add_monitor(
            type=MonitorType.HTTP,
            name="Über",
            url="http://127.0.0.1",
            notificationIDList=[1, 2],
        )
        print("added:", added)
        [monitor] = api.get_monitors()
        shown = [monitor[key] for key in ("name", "type", "notificationIDList")]
        print("monitor:", *shown)
        print("one:", api.get_monitor(1)["url"])
        print("tag:", api.add_monitor_tag(1, 1, "value"))
        print("heartbeats:", sorted(api.get_heartbeats()), api.avg_ping(), api.uptime())
        print("certificate:", api.cert_info())
        print("paused:", api.pause_monitor(1))
        try:
            api.timeout = 0.5
            api.get_tags()
        except Exception as exc:
            print("no answer:", type(exc).__name__)
    print("connected:", api.sio.connected)
    try:
        api.get_tags()
    except Exception as exc:
        print("after disconnect:", type(exc).__name__)
    try:
        UptimeKumaApi("http://127.0.0.1:9", timeout=1)
    except UptimeKumaException as exc:
        print(exc)
finally:
    server.stdin.close()
    server.wait(20)
"""

EXPECTED = """\
login: authIncorrectCreds
token: made-of-secret
by token: {}
version: 1.23.2
added: {'msg': 'Added Successfully.', 'monitorID': 1}
monitor: Über MonitorType.HTTP [1, 2]
one: http://127.0.0.1
tag: {'msg': 'Added 1 1 value'}
heartbeats: [1] {1: 10.5} {1: {24: 1, 720: 0.5}}
certificate: {1: {'valid': True}}
paused: {'msg': 'Paused 1'}
no answer: TimeoutError
connected: False
after disconnect: BadNamespaceError
unable to connect
"""


def check(environment: Environment) -> str:
    (environment.folder / "program.py").write_text(PROGRAM)
    double = TESTS / "compat/applications/kuma_server.py"
    said = environment.run("program.py", str(double)).stdout
    name = "socketio_fast" if environment.alias else "socketio"
    assert said == f"socketio is {name}\n{EXPECTED}", said
    return "login, monitors, heartbeats, errors"
