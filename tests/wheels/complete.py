"""Whether a directory has all files of a release: python complete.py DIRECTORY VERSION

They are the source distribution, and a wheel for each Python on each platform, of this
version and no other. Prints what is missing or too much; ends with 1 if anything is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314")

#: What the platform tags of the wheels begin with, and end with.
PLATFORMS = (
    ("manylinux", "x86_64"),
    ("manylinux", "aarch64"),
    ("musllinux", "x86_64"),
    ("musllinux", "aarch64"),
    ("macosx", "x86_64"),
    ("macosx", "arm64"),
    ("win_", "amd64"),
)


def unexpected(names: set[str], version: str) -> list[str]:
    """What is missing and what is too much, a line for each."""
    left = set(names)
    lines = []
    sdist = f"socketio_fast-{version}.tar.gz"
    if sdist not in left:
        lines.append(f"missing: {sdist}")
    left.discard(sdist)
    for python in PYTHONS:
        for system, processor in PLATFORMS:
            wheel = re.compile(
                rf"socketio_fast-{re.escape(version)}-{python}-{python}-"
                rf"{system}\w*{processor}(\.{system}\w*{processor})*\.whl"
            )
            found = {name for name in left if wheel.fullmatch(name)}
            left -= found
            if len(found) != 1:
                problem = "missing" if not found else f"{len(found)} of them"
                lines.append(f"{problem}: {python} for {system.strip('_')} {processor}")
    return lines + [f"too much: {name}" for name in sorted(left)]


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    directory, version = sys.argv[1:]
    lines = unexpected({path.name for path in Path(directory).iterdir()}, version)
    print("\n".join(lines) or "complete")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
