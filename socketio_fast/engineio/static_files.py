"""The look-up of static files, under python-engineio's module and function names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketio_fast.serving.static import StaticFiles, _content_type

__all__ = ["content_types", "get_static_file"]

#: Content types by file extension; :mod:`mimetypes` guesses those of other extensions.
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
    """Look up the static file for the path of a URL.

    Args:
        path: The path of the URL.
        static_files: The mapping of paths to files, as for
            :class:`~socketio_fast.serving.static.StaticFiles`.

    Returns:
        A dict with ``filename`` and ``content_type``; ``None`` if there is no such
        file, or if it is outside the directory that the mapping names.
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
