"""The mapping of static files, where python-engineio has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketio_fast.serving.static import StaticFiles, _content_type

__all__ = ["content_types", "get_static_file"]

#: Content types by extension; others are guessed by :mod:`mimetypes`.
content_types = {
    "css": "text/css",
    "gif": "image/gif",
    "html": "text/html",
    "jpg": "image/jpeg",
    "js": "application/javascript",
    "json": "application/json",
    "png": "image/png",
    "txt": "text/plain",
}


def get_static_file(
    path: str, static_files: Mapping[str, Any]
) -> dict[str, str] | None:
    """What a mapping has for a path.

    Args:
        path: The path of a URL.
        static_files: See :class:`~socketio_fast.serving.static.StaticFiles`.

    Returns:
        Its ``filename`` and ``content_type``; ``None`` if there is no such file, or if
        it is outside of the directory that the mapping names.
    """
    try:
        found = StaticFiles(static_files)._find(path)
    except OSError:
        return None
    if found is None or not found[0].exists():
        return None
    return {
        "filename": str(found[0]),
        "content_type": found[1] or _content_type(found[0]),
    }
