"""The page of the benchmarks is what its raw results say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not (BENCHMARKS / "results").exists(), reason="a source distribution has no results"
)

RENDER = """
import sys
from pathlib import Path
from rendering.page import write_readme
write_readme(Path("results"), sys.argv[1], Path(sys.argv[2]))
"""

FRONT = """
import sys
from pathlib import Path
from rendering.front import write_front
write_front(Path("results/full.json"), Path(sys.argv[1]))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=BENCHMARKS, capture_output=True, text=True
    )


def render(name: str, target: Path) -> None:
    done = python("-c", RENDER, name, str(target))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_and_its_charts_are_rendered_from_the_results(tmp_path: Path) -> None:
    render("full", tmp_path / "README.md")
    names = [
        Path("README.md"),
        *(p.relative_to(tmp_path) for p in tmp_path.glob("plots/*")),
    ]
    for file in names:
        assert (tmp_path / file).read_text() == (BENCHMARKS / file).read_text(), file
    drawn = {file.name for file in (tmp_path / "plots").iterdir()}
    assert drawn == {file.name for file in (BENCHMARKS / "plots").iterdir()}


@pytest.mark.parametrize(
    "name", sorted(file.stem for file in BENCHMARKS.glob("results/*.json"))
)
def test_every_run_can_be_rendered(tmp_path: Path, name: str) -> None:
    """Those of clients, too, which have no chart."""
    render(name, tmp_path / "README.md")
    assert f"`results/{name}.json`" in (tmp_path / "README.md").read_text()


def test_the_table_of_the_first_page_is_rendered(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text((BENCHMARKS.parent / "README.md").read_text())
    done = python("-c", FRONT, str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_text() == (BENCHMARKS.parent / "README.md").read_text()
    page.write_text("no place for it")
    assert "no lines <!-- rendered" in python("-c", FRONT, str(page)).stderr


def test_what_cannot_be_rendered() -> None:
    done = python("run.py", "--render", "none")
    assert done.returncode == 1
    assert done.stderr.startswith("run.py: no results/none.json; there are ")


@pytest.mark.parametrize(
    "name",
    sorted(
        file.name
        for file in BENCHMARKS.glob("*.py")
        if 'if __name__ == "__main__":' in file.read_text()
    ),
)
def test_each_program_starts(name: str) -> None:
    done = python(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tables_of_many_machines_are_what_is_simulated(tmp_path: Path) -> None:
    page = BENCHMARKS.parent / "docs" / "scaling.md"
    program = """
import sys
from pathlib import Path
import simulate
page = Path(sys.argv[1]).read_text()
rendered = simulate.with_tables(page, simulate.tables(simulate.Costs()))
sys.exit(rendered != page)
"""
    assert python("-c", program, str(page)).returncode == 0


def test_the_table_of_faults_is_what_was_counted() -> None:
    page = BENCHMARKS.parent / "docs" / "scaling.md"
    program = """
import json, sys
from pathlib import Path
from rendering.adapter_faults import with_table
page = Path(sys.argv[1]).read_text()
results = json.loads(Path("results/apart/adapter-faults.json").read_text())
sys.exit(with_table(page, results) != page)
"""
    assert python("-c", program, str(page)).returncode == 0


def test_the_simulation_is_near_what_was_measured() -> None:
    done = python("simulate.py", "--check")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("measured") == 3


FLOOR = """
import sys
from types import SimpleNamespace
import catalogue
from harness.building import build_load, build_server
from harness.measuring import measure
floor = next(server for server in catalogue.SERVERS if not server.peer)
build_server(floor)
plan = SimpleNamespace(
    quick=True, python=sys.executable, warmup=0, seconds=0.1,
    server_core=int(sys.argv[1]), load_core=int(sys.argv[1]),
)
for scenario in catalogue.SCENARIOS:
    if not set(scenario.needs) & set(floor.lacks):
        measure(plan, build_load(), floor, scenario, None)
        print(scenario.name)
"""


def test_the_floor_does_what_each_scenario_needs() -> None:
    """The load generator fails at an answer that is wrong, missing or twice there."""
    if shutil.which("make") is None or not Path("/usr/include/openssl/ssl.h").exists():
        pytest.skip("it is built by make and a C compiler, with OpenSSL's headers")
    core = min(os.sched_getaffinity(0))
    done = python("-c", FLOOR, str(core))
    assert (done.returncode, done.stderr.replace("building floor: make\n", "")) == (
        0,
        "",
    )
    assert len(done.stdout.split()) >= 12
