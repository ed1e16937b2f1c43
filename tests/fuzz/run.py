"""Fuzzes the headers of csrc/ with libFuzzer, under the sanitizers.

    python tests/fuzz/run.py [--seconds 60] [--keep] [name...]

A name is that of a harness beside this file: `scan` for scan.c, which includes
csrc/sf_scan.h. Without one, all are run, one after the other. Each begins with the
corpus that is kept in corpus/NAME. What it finds anew is thrown away, unless --keep
adds to the corpus those inputs that reach what nothing in it reaches.

Prints a line for each harness, and for a finding what does not hold and the input. The
exit code is 1 if there is a finding. It wants clang with its libFuzzer runtime.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADERS = HERE.parent.parent / "csrc"
CORPUS = HERE / "corpus"
NAMES = sorted(path.stem for path in HERE.glob("*.c"))
FLAGS = [
    *("-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
]
# The corpus has to hold for all of these, and the first is fuzzed. What `char` is on
# x86 and on ARM; with the instructions that these have for 16 bytes, and without.
VARIANTS = [
    ["-fsigned-char"],
    ["-funsigned-char"],
    ["-funsigned-char", "-DSF_NO_BLOCKS"],
]
# Every prefix of an input is tried, which costs the square of its length.
LIMITS = ["-max_len=512", "-timeout=10"]
COMPILE_SECONDS = 120
GRACE_SECONDS = 60

Done = subprocess.CompletedProcess[str]


def build(
    name: str,
    folder: Path,
    *,
    headers: Path = HEADERS,
    variant: Sequence[str] = VARIANTS[0],
) -> Path:
    """Compiles a harness against the headers, and returns the program.

    Raises subprocess.CalledProcessError if clang does not compile it.
    """
    program = folder / name
    folders = ["-I", headers, "-I", HEADERS]
    subprocess.run(
        ["clang", *FLAGS, *variant, *folders, HERE / f"{name}.c", "-o", program],
        check=True,
        timeout=COMPILE_SECONDS,
    )
    return program


def fuzz(program: Path, *arguments: object, seconds: float = 0.0) -> Done:
    """Runs a harness in the folder that it is in; `stderr` has what it says."""
    return subprocess.run(
        [program, *LIMITS, *map(str, arguments)],
        cwd=program.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=seconds + GRACE_SECONDS,
    )


def replay(program: Path) -> Done:
    """Runs a harness on each input of its corpus, and on nothing else."""
    return fuzz(program, "-runs=0", CORPUS / program.name)


def complaint(done: Done) -> str:
    """What is wrong, by the line of CHECK(), of a sanitizer or of libFuzzer."""
    found = re.search(
        r".*(does not hold:|runtime error:|ERROR: \w+Sanitizer:|ERROR: libFuzzer:).*",
        done.stderr,
    )
    return found.group() if found else f"it ended with {done.returncode}"


def last_number(pattern: str, text: str) -> int:
    return int((re.findall(pattern, text, re.M) or ["0"])[-1])


def keep(program: Path, found: Path) -> None:
    """Adds to the corpus what covers more than it does."""
    corpus = CORPUS / program.name
    merged = program.parent / "merged"
    merged.mkdir()
    fuzz(
        program, "-set_cover_merge=1", "-use_counters=0", merged, corpus, found
    ).check_returncode()
    known = {path.read_bytes() for path in corpus.iterdir()}
    for path in merged.iterdir():
        if path.read_bytes() not in known:
            shutil.copy(path, corpus)


def run(name: str, seconds: int, *, keeps: bool) -> bool:
    """Whether a harness found nothing in so many seconds. Prints what it did."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = folder / "found"
        found.mkdir()
        for variant in VARIANTS[1:]:
            done = replay(build(name, folder, variant=variant))
            if done.returncode:
                break
        else:
            program = build(name, folder)
            done = fuzz(
                program,
                f"-max_total_time={seconds}",
                found,
                CORPUS / name,
                seconds=seconds,
            )
        executions = last_number(r"^#(\d+)", done.stderr)
        edges = last_number(r"cov: (\d+)", done.stderr)
        print(
            f"{name:8} {executions:11,} executions {edges:5} edges covered "
            f"{len(list(found.iterdir())):5} new inputs  "
            f"{'FOUND' if done.returncode else 'ok'}",
            flush=True,
        )
        if done.returncode:
            print(f"    {complaint(done)}")
            for path in folder.glob("*-*"):  # crash-…, timeout-…, oom-…
                print(f"    {path.name.partition('-')[0]}: {path.read_bytes().hex()}")
        elif keeps:
            keep(program, found)
        return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzes the headers of csrc/.")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each harness")
    parser.add_argument(
        "--keep", action="store_true", help="add to the corpus what covers more"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no harness {unknown[0]!r}: there are {', '.join(NAMES)}")
    if options.seconds < 1:
        parser.error(f"--seconds {options.seconds}: it must be at least 1")
    if shutil.which("clang") is None:
        parser.error("clang is not installed: on Debian, apt-get install clang")
    good = [
        run(name, options.seconds, keeps=options.keep)
        for name in options.names or NAMES
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
