"""Origins of the option ``cors_allowed_origins`` (RFC 6454), and patterns of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["ORIGIN", "origin_pattern"]

#: What can be an origin, or a pattern of one.
ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")

# One or more labels of a host, as browsers write them: in lower case, and in Punycode.
LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
PATTERN = re.compile(r"([a-z][a-z0-9+.-]*://)\*\.([^*/?#@:\s]+(?::[0-9]{1,5})?)")
LABEL = re.compile(r"[A-Za-z0-9_-]+")


def origin_pattern(origins: Iterable[str]) -> re.Pattern[str] | None:
    """What those origins match that have a ``*``, all but ``"*"`` itself.

    ``https://*.example.com`` is every host below ``example.com``, at any depth, and not
    ``example.com`` itself.

    Returns:
        A pattern for ``fullmatch``; ``None``: no origin has one.

    Raises:
        ValueError: One could match more than labels of a host, such as its scheme, its
            port, or every host of a top-level domain.
    """
    found = []
    for origin in origins:
        if origin == "*" or "*" not in origin:
            continue
        match = PATTERN.fullmatch(origin)
        host = "" if match is None else match[2].partition(":")[0]
        labels = host.split(".")
        if match is None or not (
            all(LABEL.fullmatch(label) for label in labels)
            and (len(labels) > 1 or host == "localhost")
        ):
            raise ValueError(
                f"cors_allowed_origins: {origin!r} could match more than the first "
                "labels of a host: a pattern has one '*', as in "
                "'https://*.example.com'; for others pass a function of the origin"
            )
        found.append(re.escape(match[1]) + LABELS + re.escape("." + match[2]))
    return re.compile("|".join(found)) if found else None
