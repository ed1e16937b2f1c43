"""Checks values against types, makes models of them, and plain values of models."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

__all__ = [
    "Errors",
    "check_of",
    "check_or_none",
    "is_model",
    "library_of",
    "plain",
    "pydantic_branches",
]

Loc = tuple[int | str, ...]
#: Makes a value of what was received; adds what does not fit to the errors.
Check = Callable[[Any, Loc, "Errors"], Any]

#: Errors that a client is told of one payload, at most.
MAX_DETAILS = 20
#: Names in the path to an error, at most.
MAX_PATH = 32
#: Characters of such a name, at most.
MAX_NAME = 64
#: Characters of the message of an error, at most.
MAX_MESSAGE = 512
#: With more errors pydantic is not asked for them, because it makes all at once.
MAX_ERRORS = 1000
#: How often pydantic may look at each object of a payload, on average; see `_looks()`.
LOOKS_AT_EACH = 64
#: How often it may look at objects of a payload in addition to that.
MORE_LOOKS = 20_000


class Errors:
    """The errors of a payload.

    Args:
        most: The number of errors at which checking stops.
        tried: For each union, the results for containers that it has checked, by id.
    """

    __slots__ = ("found", "full", "most", "tried")

    def __init__(
        self, most: int = MAX_DETAILS, tried: dict[Check, dict[int, Any]] | None = None
    ) -> None:
        # Their paths and messages. What a client is told is made of them at the end:
        # unions drop most of them.
        self.found: list[tuple[Loc, str]] = []
        self.most = most
        self.full = False
        self.tried = {} if tried is None else tried

    def add(self, loc: Loc, message: str) -> None:
        """Add an error, with the path to the value that does not fit."""
        self.found.append((loc, message))
        self.full = len(self.found) >= self.most

    @property
    def details(self) -> list[dict[str, Any]]:
        """What a client is told of them."""
        return [
            {"loc": _shortened(loc), "msg": message[:MAX_MESSAGE]}
            for loc, message in self.found
        ]


def _shortened(loc: Loc) -> list[int | str]:
    # Names may come from the client, and are cut to a length that can be read.
    names = [
        part[:MAX_NAME] if isinstance(part, str) else part for part in loc[:MAX_PATH]
    ]
    if len(loc) > MAX_PATH:
        names.append("...")
    return names


def plain(value: Any) -> Any:
    """Makes dicts and lists of models, also inside lists, tuples and dicts.

    Bytes stay as they are, and values of other types are left to the encoding.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {key: plain(item) for key, item in value.items()}
    if kind is list:
        return [plain(item) for item in value]
    if kind is tuple:
        return tuple([plain(item) for item in value])
    return _dumper(kind)(value)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1024)
def _dumper(kind: type[Any]) -> Callable[[Any], Any]:
    """The function that makes plain values of values of this type."""
    if hasattr(kind, "__pydantic_validator__"):
        from pydantic import TypeAdapter

        # Not the adapter's method, a Python function around this.
        dump = TypeAdapter(kind).serializer.to_python
        return lambda value: _jsonable(dump(value, by_alias=True))
    if hasattr(kind, "__struct_fields__"):
        import msgspec

        return functools.partial(msgspec.to_builtins, builtin_types=(bytes, bytearray))
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return lambda value: {name: plain(getattr(value, name)) for name in names}
    if issubclass(kind, Enum):
        return lambda value: plain(value.value)
    return lambda value: value


_PLAIN = frozenset((str, int, float, bool, type(None), bytes, bytearray))


def _jsonable(value: Any) -> Any:
    """Makes JSON values of what pydantic returns; bytes stay as they are."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(_jsonable(key))


def library_of(hint: Any) -> str | None:
    """The library that checks a type: "pydantic", "msgspec" or "dataclasses".

    ``None`` if the type has no model in it.
    """
    if isinstance(hint, type) and get_origin(hint) is None:
        if hasattr(hint, "__pydantic_validator__"):
            return "pydantic"
        if hasattr(hint, "__struct_fields__"):
            return "msgspec"
        return "dataclasses" if dataclasses.is_dataclass(hint) else None
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return None
    found = {library_of(arg) for arg in (args[:1] if origin is Annotated else args)}
    if origin is Annotated:
        for made in hint.__metadata__:
            package = type(made).__module__.partition(".")[0]
            found.add({"annotated_types": "pydantic"}.get(package, package))
    elif isinstance(origin, type):
        found.add(library_of(origin))  # a generic model
    for library in ("pydantic", "msgspec", "dataclasses"):
        if library in found:
            return library
    return None


def is_model(hint: Any) -> bool:
    """Whether a type is a model, or has one in it, such as ``list[Model]``."""
    return library_of(hint) is not None


def check_or_none(hint: Any) -> Check | None:
    """The check of a type; ``None`` if it is no model and cannot be checked."""
    try:
        return check_of(hint)
    except TypeError:
        if is_model(hint):
            raise
        return None


def check_of(hint: Any) -> Check:
    """The check of a type."""
    try:
        return _checks(hint, repr(hint))
    except TypeError:
        return _new_check(hint)  # unhashable, or the error is raised again


@functools.lru_cache(maxsize=1024)
def _checks(hint: Any, text: str) -> Check:
    # Two unions that differ in their order are equal; their texts are not.
    return _new_check(hint)


def _new_check(hint: Any) -> Check:
    library = library_of(hint)
    if library == "pydantic":
        return _pydantic(hint)
    if library == "msgspec":
        return _msgspec(hint)
    return _standard(hint)


def _pydantic(hint: Any) -> Check:
    from pydantic import TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    validate = adapter.validator.validate_python
    # Only recursive types have definitions. The depth of others is fixed.
    branches = pydantic_branches(adapter.core_schema)

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if branches > 1 and _looks(value, branches):
            errors.add(
                loc, "nested too deep for a union of models without a discriminator"
            )
            return None
        try:
            return validate(value)
        except ValidationError as exc:
            if exc.error_count() > MAX_ERRORS:
                errors.add(loc, f"{exc.error_count()} errors")
                return None
            for error in exc.errors(
                include_url=False, include_context=False, include_input=False
            ):
                errors.add((*loc, *error["loc"]), error["msg"])
                if errors.full:
                    break

    return check


def pydantic_branches(schema: Any) -> int:
    """How often pydantic looks at a nested model for each look at the outer one, at
    most; 0 for types that are not recursive."""
    return _branches(schema.get("definitions", ()))


def _branches(schema: Any) -> int:
    """How often pydantic looks at a nested model for each look at the outer one.

    That is once for each alternative of a union without a discriminator.
    """
    if isinstance(schema, (list, tuple)):
        return max(map(_branches, schema), default=0)
    if not isinstance(schema, dict):
        return 0
    if schema.get("type") == "definition-ref":
        return 1
    if schema.get("type") == "union":
        return sum(map(_branches, schema["choices"]))
    return max(
        (
            _branches(part)
            for name, part in schema.items()
            if name not in ("metadata", "serialization", "default")
        ),
        default=0,
    )


def _looks(value: Any, branches: int) -> bool:
    """Whether pydantic would look at the objects in a value too often.

    For each look at an object it looks at an object inside once for each alternative of
    the union between them. The number of looks grows exponentially with the depth.
    """
    left = MORE_LOOKS
    level, each = [value], 1
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                left += LOOKS_AT_EACH - each
                below += item.values()
            elif type(item) is list:
                # An array is no model: its items are on the same level.
                level += item
        if left < 0:
            return True
        level, each = below, each * branches
    return False


# Messages of msgspec that end with a value that was received.
_ECHO = re.compile(r"(Invalid (?:enum )?value|Object contains unknown field)\b.*")
_STEP = re.compile(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]")


def _msgspec(hint: Any) -> Check:
    import msgspec

    convert = msgspec.convert
    bytes_too = (bytes, bytearray)

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        try:
            return convert(value, hint, builtin_types=bytes_too)
        except msgspec.ValidationError as exc:
            message, _, path = str(exc).partition(" - at `")
            steps = [
                int(index) if index.isdigit() else name or index
                for name, index in _STEP.findall(path)
            ]
            errors.add((*loc, *steps), _ECHO.sub(r"\1", message))

    return check


_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    bytes: "binary data",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _standard(hint: Any) -> Check:
    """The check of a builtin, dataclass, Enum, Literal, Union, list, tuple or dict."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return check_of(args[0])
    if hint is Any or hint is object:
        return lambda value, loc, errors: value
    if hint is None:
        return _builtin(type(None))
    if origin is Literal:
        return _one_of({(type(arg), arg): arg for arg in args})
    if origin is Union or origin is types.UnionType:
        return _union([check_of(arg) for arg in args])
    if origin is list:
        return _array(check_of(args[0]))
    if origin is tuple:
        return _tuple(args)
    if origin is dict and args[0] in (str, Any):
        return _object(check_of(args[1]))
    if hint in _NAMES:
        return _builtin(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of({(type(item.value), item.value): item for item in hint})
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint)
    raise TypeError(
        f"type {hint!r} cannot be validated in a dataclass: use pydantic or msgspec"
    )


def _builtin(kind: type) -> Check:
    expected = f"{_NAMES[kind]} expected"

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return value  # JavaScript writes 1.0 as 1
        errors.add(loc, expected)
        return None

    check.takes_objects = kind is dict  # type: ignore[attr-defined]
    return check


def _one_of(values: dict[tuple[type, Any], Any]) -> Check:
    expected = "one of " + ", ".join(repr(value) for _, value in values) + " expected"

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        key = (type(value), value)
        if isinstance(value, (list, dict)) or key not in values:
            errors.add(loc, expected)
            return None
        return values[key]

    check.choices = values  # type: ignore[attr-defined]
    check.takes_objects = False  # type: ignore[attr-defined]
    return check


def _union(checks: list[Check]) -> Check:
    """The check of a union: the first alternative that fits.

    Each alternative is tried up to its first error. If none fits, the errors of the one
    whose first error is the deepest are added. An object whose tag only one alternative
    allows is checked by that one.
    """
    objects = [check for check in checks if getattr(check, "takes_objects", True)]
    tag: Any = _UNTRIED
    tagged: dict[tuple[type, Any], list[Check]] = {}

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        nonlocal tag, tagged
        possible = checks
        if type(value) is dict:
            if tag is _UNTRIED:  # the alternatives may not have been ready before
                tag, tagged = _tags_of(objects)
            possible = objects or checks
            kind = value.get(tag)
            if type(kind) in _TAGS:
                possible = tagged.get((type(kind), kind), possible)
            if len(possible) == 1:
                return possible[0](value, loc, errors)
        found = _UNTRIED
        tried = errors.tried.get(check)
        if tried is not None:
            found = tried.get(id(value), _UNTRIED)
        if found is _UNTRIED:
            found = _fit(possible, value, loc, errors)
            if errors.most == 1 and isinstance(value, (dict, list)):
                # An outer union checks this value once for each of its alternatives.
                errors.tried.setdefault(check, {})[id(value)] = found
        if type(found) is not _Misfit:
            return found
        if errors.most == 1:
            errors.add(*found.error)
        else:
            found.check(value, loc, errors)
        return None

    return check


_UNTRIED: Any = object()

# The types of tags.
_TAGS = frozenset((str, int, bool))


def _tags_of(
    objects: list[Check],
) -> tuple[str | None, dict[tuple[type, Any], list[Check]]]:
    """The field that tells the dataclasses of a union apart, and for each of its values
    the alternatives that may fit an object with it."""
    models = [fields for check in objects if (fields := _choices_of(check)) is not None]
    best: tuple[str | None, dict[tuple[type, Any], list[Check]]] = (None, {})
    fewest: float = len(objects)  # that are left by the value of the field, on average
    for name in models[0] if models else ():
        if not all(name in fields for fields in models):
            continue
        tagged: dict[tuple[type, Any], list[Check]] = {
            value: [
                check
                for check in objects
                if (fields := _choices_of(check)) is None or value in fields[name]
            ]
            for value in {value for fields in models for value in fields[name]}
        }
        left = sum(map(len, tagged.values())) / (len(tagged) or 1)
        if left < fewest:
            best, fewest = (name, tagged), left
    return best


def _choices_of(check: Check) -> dict[str, dict[tuple[type, Any], Any]] | None:
    """The fields of a dataclass that allow only some values; ``None``: it is none."""
    return getattr(check, "fields_with_choices", None)


class _Misfit(typing.NamedTuple):
    """A value that fits no alternative of a union."""

    check: Check
    error: tuple[Loc, str]


def _fit(checks: list[Check], value: Any, loc: Loc, errors: Errors) -> Any:
    """What the first alternative that fits makes of a value, or a `_Misfit`."""
    misfits: list[_Misfit] = []
    for check in checks:
        wrong = Errors(1, errors.tried)
        result = check(value, loc, wrong)
        if not wrong.full:
            return result
        misfits.append(_Misfit(check, wrong.found[0]))
    return max(misfits, key=_depth)


def _depth(misfit: _Misfit) -> int:
    loc, _ = misfit.error
    return len(loc)


def _array(item: Check) -> Check:
    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if type(value) is not list:
            errors.add(loc, "an array expected")
            return None
        values = []
        for i, one in enumerate(value):
            values.append(item(one, (*loc, i), errors))
            if errors.full:
                break
        return values

    check.takes_objects = False  # type: ignore[attr-defined]
    return check


def _tuple(args: tuple[Any, ...]) -> Check:
    if len(args) == 2 and args[1] is Ellipsis:
        array = _array(check_of(args[0]))

        def check_any(value: Any, loc: Loc, errors: Errors) -> Any:
            return tuple(array(value, loc, errors) or ())

        check_any.takes_objects = False  # type: ignore[attr-defined]
        return check_any
    checks = [check_of(arg) for arg in args]

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if type(value) is not list or len(value) != len(checks):
            errors.add(loc, f"an array of {len(checks)} items expected")
            return None
        values = []
        for i, (one, item) in enumerate(zip(checks, value, strict=True)):
            values.append(one(item, (*loc, i), errors))
            if errors.full:
                break
        return tuple(values)

    check.takes_objects = False  # type: ignore[attr-defined]
    return check


def _object(item: Check) -> Check:
    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if type(value) is not dict:
            errors.add(loc, "an object expected")
            return None
        values = {}
        for key, one in value.items():
            values[key] = item(one, (*loc, key), errors)
            if errors.full:
                break
        return values

    return check


# The checks that are being made: a dataclass may have fields of its own type.
_dataclasses: dict[type, Check] = {}


def _dataclass(kind: type) -> Check:
    found = _dataclasses.get(kind)
    if found is not None:
        return found
    fields: list[tuple[str, Check, bool]] = []

    def check(value: Any, loc: Loc, errors: Errors) -> Any:
        if type(value) is not dict:
            errors.add(loc, "an object expected")
            return None
        before = len(errors.found)
        values = {}
        for name, one, required in fields:
            if name in value:
                values[name] = one(value[name], (*loc, name), errors)
            elif required:
                errors.add((*loc, name), "field required")
            if errors.full:
                return None
        if len(errors.found) > before:
            return None
        try:
            return kind(**values)
        except ValueError as exc:  # raised by __post_init__
            errors.add(loc, str(exc))
            return None

    choices: dict[str, dict[tuple[type, Any], Any]] = {}
    check.fields_with_choices = choices  # type: ignore[attr-defined]
    _dataclasses[kind] = check
    try:
        space = vars(sys.modules[kind.__module__])
        hints = typing.get_type_hints(kind, space, include_extras=True)
        for field in dataclasses.fields(kind):
            if field.init:
                required = (
                    field.default is dataclasses.MISSING
                    and field.default_factory is dataclasses.MISSING
                )
                one = check_of(hints[field.name])
                fields.append((field.name, one, required))
                if hasattr(one, "choices"):
                    choices[field.name] = one.choices
    except NameError as exc:
        raise TypeError(
            f"a field of {kind.__name__} cannot be resolved: {exc}"
        ) from exc
    finally:
        del _dataclasses[kind]
    return check
