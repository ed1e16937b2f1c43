"""Makes values of types straight from JSON, where that gives what checking decoded
values gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from socketio_fast._core.protocol.json_text import loads_json
from socketio_fast.handlers.models import (
    Check,
    Errors,
    check_or_none,
    library_of,
    pydantic_branches,
)

__all__ = ["decoder_of"]

#: Makes a value of its JSON; raises any exception if that does not fit, or might not.
Decoder = Callable[[bytes], Any]


def decoder_of(hint: Any) -> Decoder | None:
    """What decodes the JSON of values of a type; ``None`` for any type.

    What it makes is what the check of the type makes of the decoded JSON.
    """
    check = check_or_none(hint)
    if check is None:
        return None
    library = library_of(hint)
    direct: Decoder | None = None
    if library == "msgspec":
        direct = _by_msgspec(hint)
    elif library == "pydantic":
        direct = _by_pydantic(hint)
    return direct or _by_check(check)


def _by_check(check: Check) -> Decoder:
    def decode(text: bytes) -> Any:
        errors = Errors(1)
        value = check(loads_json(text), (), errors)
        if errors.found:
            raise ValueError
        return value

    return decode


# Of these types of msgspec.inspect, JSON has the values that Python has. Left out are
# those that JSON writes otherwise: bytes and Decimal, and keys that are no strings.
_SCALARS = frozenset(
    (
        *("AnyType", "BoolType", "DateTimeType", "DateType", "EnumType", "FloatType"),
        *("IntType", "LiteralType", "NoneType", "StrType", "TimeType", "UUIDType"),
    )
)
_WITH_FIELDS = frozenset(("DataclassType", "NamedTupleType", "StructType"))
_WITH_ITEMS = frozenset(("FrozenSetType", "ListType", "SetType", "VarTupleType"))


def _by_msgspec(hint: Any) -> Decoder | None:
    import msgspec

    try:
        if not _is_direct(msgspec.inspect.type_info(hint), set()):
            return None
    except Exception:
        return None  # it cannot be inspected
    return msgspec.json.Decoder(hint).decode


def _is_direct(info: Any, seen: set[Any]) -> bool:
    kind = type(info).__name__
    if kind in _SCALARS:
        return True
    if kind in _WITH_FIELDS or kind == "TypedDictType":
        if info.cls in seen:
            return True
        seen.add(info.cls)
        parts = [field.type for field in info.fields]
    elif kind in _WITH_ITEMS:
        parts = [info.item_type]
    elif kind == "TupleType":
        parts = info.item_types
    elif kind == "UnionType":
        parts = info.types
    elif kind == "DictType":
        if type(info.key_type).__name__ not in ("StrType", "AnyType"):
            return False
        parts = [info.value_type]
    elif kind == "Metadata":
        parts = [info.type]
    else:
        return False
    return all(_is_direct(part, seen) for part in parts)


# Of these types of pydantic's schemas, validate_json() takes what validate_python()
# takes of decoded JSON. It takes more for others, such as dates in strict mode.
_PLAIN_SCHEMAS = frozenset(
    (
        *("any", "bool", "dataclass", "dataclass-args", "dataclass-field", "default"),
        *("definition-ref", "definitions", "dict", "float", "int", "list", "literal"),
        *("model", "model-field", "model-fields", "none", "nullable", "str"),
        *("tagged-union", "typed-dict", "typed-dict-field", "no-info"),
        *("function-after", "function-before"),
    )
)


def _by_pydantic(hint: Any) -> Decoder | None:
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    schema = adapter.core_schema
    if pydantic_branches(schema) > 1:
        return None
    for part in _parts(schema):
        if part.get("strict") or part.get("custom_init"):
            return None
        kind = part.get("type")
        if isinstance(kind, str) and kind not in _PLAIN_SCHEMAS:
            return None
        if kind == "dict" and part.get("keys_schema", {}).get("type") != "str":
            return None
    # Not the adapter's method, a Python function around this.
    return adapter.validator.validate_json


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All dicts of a schema that validation reads."""
    if isinstance(schema, dict):
        yield schema
        for name, part in schema.items():
            if name not in ("metadata", "serialization", "default", "cls", "function"):
                yield from _parts(part)
            elif name == "function" and isinstance(part, dict):
                yield part
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            yield from _parts(part)
