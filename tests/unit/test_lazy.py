"""Names that are imported when they are first used."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from socketio_fast.lazy import lazy_names


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with a lazy name, whose submodules are those of `json`."""
    import json

    module = ModuleType("json")
    module.__path__ = json.__path__
    module.__spec__ = json.__spec__
    homes = {"JSONDecoder": "json.decoder", "missing": "json.decoder"}
    find, names = lazy_names("json", homes)
    module.__getattr__ = find  # type: ignore[method-assign]
    module.__dir__ = names  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "json", module)
    return module


def test_a_name_is_imported_once(package: ModuleType) -> None:
    from json.decoder import JSONDecoder

    assert "JSONDecoder" not in vars(package)
    assert package.JSONDecoder is JSONDecoder
    assert vars(package)["JSONDecoder"] is JSONDecoder


def test_submodules_are_imported(package: ModuleType) -> None:
    assert package.scanner is sys.modules["json.scanner"]


@pytest.mark.parametrize("name", ["Decoder", "__file_", "__wrapped__"])
def test_there_are_no_others(package: ModuleType, name: str) -> None:
    with pytest.raises(
        AttributeError, match=f"^module 'json' has no attribute '{name}'"
    ):
        getattr(package, name)
    assert not hasattr(package, "missing")


def test_dir_has_them_before_they_are_imported(package: ModuleType) -> None:
    assert {"JSONDecoder", "__path__"} <= {*dir(package)}
    assert dir(package) == sorted(dir(package))
