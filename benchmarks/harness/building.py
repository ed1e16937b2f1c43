"""What measurements need: the load generator, servers that are built, a certificate."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from catalogue import HERE, Scenario, Server
from harness.errors import BenchmarkError, last_line

LOAD = HERE / "load"
BUILD_SECONDS = 900.0


def build_load() -> Path:
    """Compiles the load generator, unless it is newer than its sources.

    With TLS where OpenSSL's headers are, with compression where zlib's are.
    """
    binary = LOAD / "build" / "load"
    sources = sorted(LOAD.glob("*.c"))
    newest = max(path.stat().st_mtime for path in [*sources, *LOAD.glob("*.h")])
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    binary.parent.mkdir(exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2"]
    command += ["-Wall", "-Wextra", "-o", str(binary), *map(str, sources)]
    tls = ["-DLOAD_TLS", "-lssl", "-lcrypto"]
    deflate = ["-DLOAD_DEFLATE", "-lz"]
    try:
        for more in ([*tls, *deflate], tls, deflate):
            built = subprocess.run([*command, *more], capture_output=True)
            if built.returncode == 0:
                return binary
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise BenchmarkError(f"no C compiler: {command[0]} was not found") from None
    except subprocess.CalledProcessError:
        raise BenchmarkError("the load generator does not compile") from None
    return binary


def check_libraries(binary: Path, scenario: Scenario) -> None:
    """Fails where the load generator lacks a library that a scenario needs."""
    if "tls" in scenario.needs:
        check_library(binary, "--openssl")
        if shutil.which("openssl") is None:
            raise BenchmarkError("the command openssl makes a certificate: not found")
    if "deflate" in scenario.needs:
        check_library(binary, "--zlib")


def check_library(binary: Path, option: str) -> None:
    result = subprocess.run([binary, option], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchmarkError(f"the load generator was {result.stderr[6:].strip()}")


@contextlib.contextmanager
def certificate() -> Iterator[tuple[str, str]]:
    """Yields the files of a certificate for this run, and of its key."""
    with tempfile.TemporaryDirectory() as folder:
        files = f"{folder}/certificate.pem", f"{folder}/key.pem"
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-subj", "/CN=localhost", "-out", files[0], "-keyout", files[1]]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise BenchmarkError(f"openssl: {last_line(error.stderr)}") from None
        yield files


def build_server(server: Server) -> None:
    """Builds or installs what a server needs, unless that is newer than its sources."""
    if not server.build:
        return
    sources = [path for path in server.path.iterdir() if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    product = server.path / server.product
    if product.exists() and product.stat().st_mtime >= newest:
        return
    words = " ".join(server.build)
    print(f"building {server.name}: {words}", file=sys.stderr)
    try:
        result = subprocess.run(
            server.build,
            cwd=server.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except FileNotFoundError:
        raise BenchmarkError(f"{server.build[0]} was not found") from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"`{words}` did not end") from None
    if result.returncode != 0:
        raise BenchmarkError(f"`{words}` failed: {last_line(result.stderr)}")
    # Builders keep what is up to date as it is, however old.
    os.utime(product)
