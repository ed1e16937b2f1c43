"""Flask-SocketIO's own tests, which its source distribution has."""

from __future__ import annotations

import re
import tarfile

from compat.applications.support import Environment

PACKAGE = "flask-socketio"
REQUIREMENTS = ["flask-socketio", "pytest", "redis"]


def check(environment: Environment) -> str:
    name = f"{PACKAGE}=={environment.version(PACKAGE)}"
    environment.pip(
        *("download", "--no-deps", "--no-binary", ":all:", name),
        *("-d", str(environment.folder)),
    )
    [archive] = environment.folder.glob("flask*socketio-*.tar.gz")
    with tarfile.open(archive) as files:
        [member] = [
            m for m in files.getmembers() if m.name.endswith("test_socketio.py")
        ]
        source = files.extractfile(member)
        assert source is not None
        (environment.folder / "test_socketio.py").write_bytes(source.read())
    out = environment.run("-m", "pytest", "-q", "test_socketio.py").stdout
    match = re.search(r"(\d+) passed", out)
    assert match, out
    return f"{match[1]} of its own {match[1]} tests"
