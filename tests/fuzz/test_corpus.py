"""The harnesses hold for the corpus that is kept, and find a header that is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.io_uring import io_uring_allowed

from . import broken, run

needs_clang = pytest.mark.skipif(
    shutil.which("clang") is None, reason="clang is not installed"
)
LARGEST_CORPUS = 200_000  # bytes


def test_each_header_that_reads_bytes_has_a_harness() -> None:
    headers = {path.stem.removeprefix("sf_") for path in run.HEADERS.glob("*.h")}
    # A clock takes no input; what epoll tells comes from the kernel.
    assert headers - {"clock", "epoll"} == set(run.NAMES)


@pytest.mark.parametrize("name", run.NAMES)
def test_there_is_a_corpus(name: str) -> None:
    assert len(list((run.CORPUS / name).iterdir())) >= 5


def test_the_corpus_stays_small() -> None:
    files = [path for path in run.CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_CORPUS


@needs_clang
@pytest.mark.parametrize("variant", run.VARIANTS, ids=" ".join)
@pytest.mark.parametrize("name", run.NAMES)
def test_the_corpus_holds(name: str, variant: list[str], tmp_path: Path) -> None:
    done = run.replay(run.build(name, tmp_path, variant=variant))
    assert done.returncode == 0, run.complaint(done)


@needs_clang
@pytest.mark.parametrize(
    "row", {row[0]: row for row in broken.BROKEN}.values(), ids=lambda row: row[0]
)
def test_a_broken_header_is_found(row: tuple[str, str, str], tmp_path: Path) -> None:
    if row[0] == "uring" and not io_uring_allowed():
        pytest.skip("this system does not allow io_uring")
    assert broken.complaint(*row, tmp_path)


@pytest.mark.parametrize("row", broken.BROKEN, ids=lambda row: f"{row[0]}-{row[1]}")
def test_what_is_broken_is_in_the_headers(row: tuple[str, str, str]) -> None:
    name, good, bad = row
    assert good != bad
    assert good in (run.HEADERS / f"sf_{name}.h").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scann"], "no harness 'scann': there are base64, "),
        (["--seconds", "0"], "--seconds 0: it must be at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], says: str) -> None:
    done = script(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_without_clang_it_says_what_to_install(tmp_path: Path) -> None:
    done = script(PATH=str(tmp_path))
    assert done.returncode == 2
    assert "clang is not installed: on Debian, apt-get install clang" in done.stderr


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, run.__file__, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
