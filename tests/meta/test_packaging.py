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
