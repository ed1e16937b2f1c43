"""Checks passwords of the Admin UI, plain or hashed, and limits the attempts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Attempts", "fits_any", "has_plain_password", "scrypt_hash"]

# Wrong passwords after which an address has to wait.
MAX_WRONG = 5
# Wrong passwords after which everybody has to wait.
MAX_WRONG_OF_ALL = 100
# Seconds after which a wrong password does not count any more.
LOCK_OUT = 60.0

#: Memory that scrypt may take, in bytes.
MAX_MEMORY = 256 * 1024 * 1024
#: Characters of a password that is hashed, at most.
MAX_LENGTH = 1024

# Hashes are computed one at a time, since each takes a core and memory, and anybody may
# send passwords.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_SCRYPT = re.compile(r"scrypt\$(\d+)\$(\d+)\$(\d+)\$([^$]+)\$([^$]+)")


def scrypt_hash(password: str, *, n: int = 16384, r: int = 8, p: int = 1) -> str:
    """A hash of a password, to be given instead of it.

    Args:
        password: The password.
        n: The cost, a power of 2 (16,384: some 50 ms and 16 MiB each time).
        r: The block size.
        p: The parallelization.

    Returns:
        ``scrypt$n$r$p$salt$hash``, of which the last two are base64.

    Raises:
        ValueError: The cost is none that scrypt has.
    """
    salt = secrets.token_bytes(16)
    found = _scrypt(password, salt, n, r, p)
    salted, hashed = (base64.b64encode(part).decode() for part in (salt, found))
    return f"scrypt${n}${r}${p}${salted}${hashed}"


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        _utf8(password), salt=salt, n=n, r=r, p=p, maxmem=MAX_MEMORY, dklen=32
    )


def _utf8(text: str) -> bytes:
    # Strings of JSON may have lone surrogates, which UTF-8 has not.
    return text.encode("utf-8", "surrogatepass")


def has_plain_password(auth: Any) -> bool:
    """Whether a password in the ``auth`` of ``instrument()`` is no hash.

    Raises:
        ValueError: A hash cannot be read.
        ImportError: There is one of bcrypt, which is not installed.
    """
    rules = [auth] if isinstance(auth, Mapping) else auth
    if not isinstance(rules, (list, tuple)):
        return False
    plain = False
    for rule in rules:
        password: Any = rule.get("password") if isinstance(rule, Mapping) else None
        if _is_hash(password):
            _check_hash(password)
        else:
            plain = True
    return plain


def _is_hash(password: Any) -> bool:
    return isinstance(password, str) and (
        password.startswith("scrypt$") or _BCRYPT.fullmatch(password) is not None
    )


def _check_hash(hashed: str) -> None:
    try:
        _fits("", hashed)
    except ImportError:
        raise ImportError(
            "a password of the Admin UI is hashed by bcrypt, which is not installed: "
            "pip install socketio-fast[bcrypt]"
        ) from None
    except (ValueError, AttributeError) as exc:
        raise ValueError(
            "a password of the Admin UI is no hash of scrypt_hash(), "
            f"scrypt$n$r$p$salt$hash, or of bcrypt ({exc})"
        ) from None


async def fits_any(client_auth: Any, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether what a UI sends is equal to one of these, whose passwords may be hashes.

    It takes as long whichever it is, and whatever is wrong.
    """
    if not isinstance(client_auth, dict):
        return False
    found = False
    for rule in rules:
        same = client_auth.keys() == rule.keys()
        for name, wanted in rule.items():
            sent = client_auth.get(name)
            if name == "password" and _is_hash(wanted):
                # A hash function may stop at a NUL, so a password with one is wrong.
                text = sent if isinstance(sent, str) else "\0"
                valid = "\0" not in text and len(text) <= MAX_LENGTH
                # A hash takes long on purpose, so a thread computes it.
                async with _turn():
                    right = await asyncio.to_thread(
                        _fits, text if valid else "", wanted
                    )
                same &= valid and right
            elif isinstance(wanted, str) and isinstance(sent, str):
                same &= hmac.compare_digest(_utf8(sent), _utf8(wanted))
            else:
                same &= type(sent) is type(wanted) and sent == wanted
        found |= same
    return found


def _turn() -> asyncio.Lock:
    return _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _fits(password: str, hashed: str) -> bool:
    if hashed.startswith("$2"):
        import bcrypt  # type: ignore[import-not-found, unused-ignore]

        # bcrypt reads no more than 72 bytes.
        return bool(bcrypt.checkpw(_utf8(password)[:72], hashed.encode()))
    n, r, p, salt, wanted = _SCRYPT.fullmatch(hashed).groups()  # type: ignore[union-attr]
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(wanted))


class Attempts:
    """The wrong passwords of the last minute, by address."""

    def __init__(self) -> None:
        # There are at most MAX_WRONG_OF_ALL.
        self._wrong: list[tuple[float, str]] = []

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        now = time.monotonic()
        self._wrong = [one for one in self._wrong if one[0] > now - LOCK_OUT]
        own = [at for at, who in self._wrong if who == address]
        if len(own) >= MAX_WRONG:
            return own[-MAX_WRONG] + LOCK_OUT - now
        if len(self._wrong) >= MAX_WRONG_OF_ALL:
            return self._wrong[-MAX_WRONG_OF_ALL][0] + LOCK_OUT - now
        return 0

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        self._wrong.append((time.monotonic(), address))

    def succeeded(self, address: str) -> None:
        """Take back the last count: the password was right."""
        for i in range(len(self._wrong) - 1, -1, -1):
            if self._wrong[i][1] == address:
                del self._wrong[i]
                return
