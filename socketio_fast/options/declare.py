"""How options are declared: once, as fields of a dataclass.

A field has the option's name, the type of what may be given, and :func:`option` with
its default, its meaning and its check. From that follow the signatures of constructors
and their help (:func:`takes`), the properties of servers, the types for editors
(``options/typed.py``) and the tables of docs/options.md; the last two are files that
``python -m tests.meta.options`` writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

from socketio_fast.options.amounts import real, whole

__all__ = [
    "Option",
    "anything",
    "as_options",
    "check_options",
    "declared",
    "known",
    "number",
    "one_of",
    "option",
    "seconds",
    "size",
    "switch",
    "takes",
    "texts",
]

#: Gets the option's name, as errors show it, and the value that was given. Returns the
#: value to keep, or raises ValueError.
Check = Callable[[str, Any], Any]
C = TypeVar("C")
T = TypeVar("T")


class Option(NamedTuple):
    """One option.

    Args:
        name: Its name.
        kind: The type of what may be given, as its annotation is written.
        default: What counts if nothing is given.
        doc: What it means, in plain sentences; ``docs/x.md`` refers to a page.
        check: Makes the value to keep of what was given.
        unit: That of the default, for docs/options.md: ``"s"``, ``"bytes"``.
        as_given: Whether servers show the value as it was given, not as it is kept.
        settable: Whether it may be set while the server exists.
    """

    name: str
    kind: str
    default: Any
    doc: str
    check: Check
    unit: str
    as_given: bool
    settable: bool

    @property
    def meaning(self) -> str:
        """What it means, and its default."""
        value = self.default
        shown = f"{value:,}" if type(value) is int else repr(value)
        return f"{self.doc} Default: ``{shown}``."


def anything(label: str, value: Any) -> Any:
    """A check that takes every value, for what is checked where it is used."""
    return value


def option(
    default: Any,
    doc: str,
    check: Check = anything,
    *,
    unit: str = "",
    as_given: bool = False,
    settable: bool = True,
) -> Any:
    """A field of a dataclass that is an option; see :class:`Option`."""
    return field(
        default=default,
        metadata={
            "doc": doc,
            "check": check,
            "unit": unit,
            "as_given": as_given,
            "settable": settable,
        },
    )


def declared(config: type[Any]) -> Mapping[str, Option]:
    """The options that a dataclass declares, by name, in their order."""
    return _declared(cast("Any", config))


@cache
def _declared(config: Any) -> Mapping[str, Option]:
    return {
        each.name: Option(each.name, str(each.type), each.default, **each.metadata)
        for each in fields(config)
        if each.metadata
    }


def check_options(config: Any, prefix: str = "") -> None:
    """Replace each option of a frozen dataclass by the value to keep.

    Args:
        config: An object of a dataclass that declares options.
        prefix: What stands before the name of an option in errors.

    Raises:
        ValueError: The option, the value that is not allowed, and what is expected.
    """
    kept_as_they_are = _defaults_kept_as_they_are(cast("Any", type(config)))
    for name, each in declared(type(config)).items():
        value = getattr(config, name)
        if value is each.default and name in kept_as_they_are:
            continue  # as most are: that saves a client 45 us
        object.__setattr__(config, name, each.check(prefix + name, value))


@cache
def _defaults_kept_as_they_are(config: Any) -> frozenset[str]:
    return frozenset(
        name
        for name, each in declared(config).items()
        if each.check(name, each.default) is each.default
    )


# Checks.


def number(
    expected: str,
    least: float,
    most: float = float("inf"),
    *,
    optional: bool = False,
) -> Check:
    """A check for whole numbers from ``least`` to ``most``.

    Args:
        expected: What is expected, for the error.
        least: The smallest number that is allowed.
        most: The largest number that is allowed.
        optional: Whether ``None`` is allowed too.
    """

    def check(label: str, value: Any) -> int | None:
        if value is None and optional:
            return None
        found = whole(value)
        if found is None or not least <= found <= most:
            raise ValueError(f"{label}={value!r}: {expected} expected")
        return found

    return check


def size(label: str, value: Any) -> int:
    """A check for a number of bytes, at least 1."""
    found: int = _size(label, value)
    return found


_size = number("bytes greater than 0", 1)


def seconds(
    expected: str = "seconds greater than 0",
    *,
    zero: bool = False,
    infinite: bool = False,
) -> Check:
    """A check for a duration in seconds.

    Args:
        expected: What is expected, for the error.
        zero: Whether 0 is allowed.
        infinite: Whether infinity is allowed.
    """

    def check(label: str, value: Any) -> float:
        found = real(value)
        if (
            found is None
            or not (found >= 0 if zero else found > 0)
            or (found == float("inf") and not infinite)
        ):
            raise ValueError(f"{label}={value!r}: {expected} expected")
        return found

    return check


def one_of(*values: str, expected: str = "") -> Check:
    """A check for one of these texts."""

    def check(label: str, value: Any) -> Any:
        if value not in values:
            text = expected or f"one of {values}"
            raise ValueError(f"{label}={value!r}: {text} expected")
        return value

    return check


def texts(label: str, given: Any, expected: str) -> tuple[str, ...]:
    """The texts of an option that takes one text or several.

    Raises:
        ValueError: The value is something else; what is expected.
    """
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, Iterable):
        raise ValueError(f"{label}={given!r}: {expected} expected")
    found = tuple(found)
    if not all(isinstance(each, str) for each in found):
        raise ValueError(f"{label}={given!r}: {expected} expected")
    return found


def switch(*, optional: bool = False) -> Check:
    """A check for ``True`` and ``False``, and ``None`` if it is optional."""
    expected = "True, False or None" if optional else "True or False"

    def check(label: str, value: Any) -> Any:
        if not isinstance(value, bool) and not (optional and value is None):
            raise ValueError(f"{label}={value!r}: {expected} expected")
        return value

    return check


def as_options(config: type[T], label: str, given: Any) -> T | None:
    """The options of an option that is a switch or a dict of them.

    Args:
        config: The dataclass of these options.
        label: The option's name, for errors.
        given: ``None`` or ``False`` for nothing, ``True`` for the defaults, a mapping
            of some of the options, or an object of ``config``.

    Raises:
        ValueError: It is something else, or there is no such option.
    """
    if given is None or given is False:
        return None
    if given is True:
        return config()
    if isinstance(given, config):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"{label}={given!r}: True, False or a dict expected")
    names = declared(config)
    for name in given:
        if name not in names:
            raise ValueError(f"{label}: {name!r} is not an option{_hint(name, names)}")
    return config(**given)


def known(owner: str, given: Mapping[str, Any], *configs: type[Any]) -> dict[str, Any]:
    """The options that one of these dataclasses declares, of those that were given.

    ``None`` is accepted for any name and left out: it asks for nothing.

    Raises:
        TypeError: There is no option of a name, and its value is not ``None``.
    """
    names = _names(cast("Any", configs))
    for name, value in given.items():
        if value is not None and name not in names:
            raise TypeError(f"{owner} has no option {name!r}{_hint(name, names)}")
    return {name: value for name, value in given.items() if name in names}


@cache
def _names(configs: Any) -> frozenset[str]:
    return frozenset(name for config in configs for name in declared(config))


def _hint(name: Any, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only an error needs it

    near = get_close_matches(str(name), names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


# Constructors.


def takes(*configs: type[Any]) -> Callable[[type[C]], type[C]]:
    """Decorate a class whose constructor passes on ``**options`` to these dataclasses.

    ``inspect.signature()`` and ``help()`` then show every option: those that the
    constructor names itself, and after them the others, by keyword. Without arguments
    the class is such a dataclass, and ``help()`` shows its options.
    """

    def show(cls: type[C]) -> type[C]:
        if configs:
            cls.__signature__ = _Signature(cls, configs)  # type: ignore[attr-defined]
        if cls.__doc__:
            cls.__doc__ = _Help(cls.__doc__, configs or (cls,))  # type: ignore[assignment]
        return cls

    return show


class _Signature:
    """The signature of a class, in which options stand before ``**options``.

    It is made when somebody asks for it, and is not that of a subclass with a
    constructor of its own.
    """

    def __init__(self, cls: type[Any], configs: tuple[type[Any], ...]) -> None:
        self._init = cls.__init__
        self._configs = configs

    def __get__(self, instance: object, owner: type[Any]) -> inspect.Signature:
        if instance is not None or owner.__init__ is not self._init:
            raise AttributeError("__signature__")
        signature = inspect.signature(self._init)
        _, *own = signature.parameters.values()
        own = [each for each in own if each.name[0] != "_"]
        named = {each.name for each in own}
        others = {
            name: inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=each.default,
                annotation=each.kind,
            )
            for config in self._configs
            for name, each in declared(config).items()
            if name not in named
        }
        # **options stays at the end: other names are accepted with the value None.
        return signature.replace(parameters=[*own[:-1], *others.values(), own[-1]])


class _Help:
    """The docstring of a class, with each option in the place of ``**options``.

    It is written when somebody reads it: no program has to wait for that.
    """

    def __init__(self, doc: str, configs: tuple[type[Any], ...]) -> None:
        self._doc = doc
        self._configs = configs

    def __get__(self, instance: object, owner: type[Any]) -> str:
        return re.sub(
            r"^( +)\*\*options: .*\n(?:\1 +.*\n)*",
            lambda match: self._arguments(match[1]),
            self._doc,
            flags=re.M,
        )

    def _arguments(self, indent: str) -> str:
        import textwrap

        told = set(re.findall(rf"^{indent}(\w+): ", self._doc, re.M))
        text = ""
        for config in self._configs:
            for name, each in declared(config).items():
                if name not in told:
                    told.add(name)
                    paragraph = textwrap.fill(
                        f"{name}: {each.meaning}",
                        88,
                        initial_indent=indent,
                        subsequent_indent=f"{indent}    ",
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
                    text += f"{paragraph}\n"
        return text
