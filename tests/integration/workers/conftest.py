"""An application for supervised workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.supervised import APP

collect_ignore_glob = [] if hasattr(os, "fork") else ["test_*.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path
