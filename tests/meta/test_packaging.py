"""pyproject.toml: what users may ask for, and what the tests need."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from wheels.complete import PLATFORMS, PYTHONS, unexpected

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
TEST = PROJECT["dependency-groups"]["test"]


def name(requirement: str) -> str:
    (found,) = re.findall(r"^[a-z0-9-]+", requirement)
    return str(found)


def test_requirements_txt_is_the_test_group() -> None:
    """pip knows groups since 25.1, and Python 3.11 brings 23.2 or older."""
    lines = (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == TEST


def test_what_only_developers_need_is_no_extra() -> None:
    assert not {"dev", "lint", "test", "tests"} & set(EXTRAS)


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_installs_is_tested(extra: str) -> None:
    assert {name(r) for r in EXTRAS[extra]} <= {name(r) for r in TEST}


def test_links_name_their_scheme() -> None:
    """Package indexes show no others."""
    for label, link in PROJECT["project"]["urls"].items():
        assert link.startswith("https://"), label


@pytest.mark.parametrize("page", ["CHANGELOG", "CONTRIBUTING", "LICENSE", "SECURITY"])
def test_the_source_distribution_has_its_pages(page: str) -> None:
    included = (ROOT / "MANIFEST.in").read_text().splitlines()[0].split()
    (path,) = ROOT.glob(f"{page}*")
    assert path.name in included


# --- wheels ---------------------------------------------------------------------

WORKFLOWS = ROOT / ".github" / "workflows"


def test_wheels_are_built_for_each_python_that_is_named() -> None:
    named = [
        "cp" + found[1].replace(".", "")
        for line in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r".*:: Python :: (3\.\d+)", line))
    ]
    built = PROJECT["tool"]["cibuildwheel"]["build"].split()
    assert built == [f"{python}-*" for python in named]
    assert list(PYTHONS) == named


def test_the_workflow_builds_for_each_platform() -> None:
    """macOS and Windows have a wheel of each processor, Linux one for each libc."""
    text = (WORKFLOWS / "wheels.yml").read_text()
    built = {
        (system, processor.lower())
        for system, processor in re.findall(r"os: ([a-z]+)-.*archs: (\w+)", text)
    }
    systems = {"manylinux": "ubuntu", "musllinux": "ubuntu", "macosx": "macos"}
    assert built == {
        (systems.get(system, "windows"), processor) for system, processor in PLATFORMS
    }


@pytest.mark.parametrize("name", ["ci", "wheels"])
def test_what_workflows_run_is_there(name: str) -> None:
    text = (WORKFLOWS / f"{name}.yml").read_text()
    for path in re.findall(r"tests/wheels/\w+\.py|\.ci/run", text):
        assert (ROOT / path).is_file(), path


def release() -> set[str]:
    """The names of all files of version 1.2.3."""
    tags = {
        "manylinux": "manylinux_2_27_{0}.manylinux_2_28_{0}",
        "musllinux": "musllinux_1_2_{0}",
        "macosx": "macosx_11_0_{0}",
        "win_": "win_{0}",
    }
    wheels = {
        f"socketio_fast-1.2.3-{python}-{python}-{tags[system].format(processor)}.whl"
        for python in PYTHONS
        for system, processor in PLATFORMS
    }
    return wheels | {"socketio_fast-1.2.3.tar.gz"}


def test_a_complete_release_is_accepted() -> None:
    assert unexpected(release(), "1.2.3") == []


def test_what_a_release_lacks_is_named() -> None:
    missing = "socketio_fast-1.2.3-cp312-cp312-win_amd64.whl"
    other = "socketio_fast-1.2.2-cp312-cp312-win_amd64.whl"
    assert unexpected((release() - {missing}) | {other}, "1.2.3") == [
        "missing: cp312 for win amd64",
        f"too much: {other}",
    ]
    assert len(unexpected(release(), "1.2.4")) == 2 * len(release())
    assert unexpected(release() - {"socketio_fast-1.2.3.tar.gz"}, "1.2.3") == [
        "missing: socketio_fast-1.2.3.tar.gz"
    ]
