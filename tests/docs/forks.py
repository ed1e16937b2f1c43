"""Runs programs, each in a fork of a process that has imported what they import.

It reads folders, a line each, runs ``snippet.py`` there, and answers with the pid and
then the exit code. What the program prints is in ``output`` of the folder.
"""

import atexit
import gc
import importlib
import os
import runpy
import sys
import threading
import traceback
from contextlib import suppress

# Not python-socketio, nor what imports it: the alias takes its place before that.
for name in (
    "aiohttp.web",
    "django.conf",
    "django.core.wsgi",
    "fastapi",
    "flask",
    "msgpack",
    "pydantic",
    "socketio_fast.admin",
    "socketio_fast.async_client",
    "socketio_fast.client",
    "socketio_fast.hosting.asgi",
    "socketio_fast.server",
    "socketio_fast.serving.serve",
    "uvloop",
):
    with suppress(ImportError):
        importlib.import_module(name)

gc.freeze()  # so that forks do not copy it

for line in sys.stdin:
    folder = line.strip()
    child = os.fork()
    if child == 0:
        break
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
else:
    sys.exit()

os.chdir(folder)
sys.path.insert(0, folder)
os.environ["PYTHONPATH"] = folder
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
output = os.open("output", os.O_WRONLY | os.O_CREAT)
os.dup2(output, 1)
os.dup2(output, 2)
sys.argv = ["snippet.py"]
code: object = 0
try:
    runpy.run_path("snippet.py", run_name="__main__")
except SystemExit as ended:
    code = ended.code
except BaseException:
    traceback.print_exc()
    code = 1
# As the interpreter ends, but what was imported is not taken apart.
threading._shutdown()  # type: ignore[attr-defined]
atexit._run_exitfuncs()
sys.stdout.flush()
os._exit(code if isinstance(code, int) else bool(code))
