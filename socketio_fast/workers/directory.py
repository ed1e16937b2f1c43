"""Who removes the directory of a supervisor that was killed.

The supervisor and its workers have a shared lock on it as long as they live. Who ends,
and gets the lock alone, is the last of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import stat
import tempfile

from socketio_fast.workers.pidfile import runs
from socketio_fast.workers.status import PREFIX

__all__ = ["hold", "release", "remove_abandoned"]


def hold(directory: str) -> int | None:
    """Lock a directory as one of several.

    Returns:
        A descriptor for ``release()``; ``None`` if it cannot be locked.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    return None


def release(directory: str, descriptor: int | None) -> None:
    """Unlock it, and remove it if nobody else has locked it."""
    if descriptor is None:
        return
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    os.close(descriptor)


def remove_abandoned() -> None:
    """Remove the directories of this user's supervisors that were killed with all their
    workers."""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        for path in glob.glob(os.path.join(glob.escape(parent), f"{PREFIX}*-*")):
            with contextlib.suppress(OSError, ValueError):
                about = os.lstat(path)
                pid = int(os.path.basename(path)[len(PREFIX) :].partition("-")[0])
                own = about.st_uid == os.geteuid() and stat.S_ISDIR(about.st_mode)
                # One that starts has not locked it yet.
                if own and not runs(pid):
                    release(path, hold(path))
