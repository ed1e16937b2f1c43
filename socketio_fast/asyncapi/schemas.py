"""JSON Schemas of types: by pydantic, by msgspec, and of dataclasses and builtins."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from socketio_fast.asyncapi.description import AsyncAPIWarning
from socketio_fast.handlers.models import library_of

__all__ = ["BINARY", "REF", "Named", "Schema", "Schemas", "tuple_of"]

Schema = dict[str, Any]

#: Where a schema with a name is.
REF = "#/components/schemas/"
#: What bytes are: an attachment of the message.
BINARY: Schema = {"type": "string", "format": "binary"}

_BUILTINS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: BINARY,
    bytearray: BINARY,
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    None: {"type": "null"},
    type(None): {"type": "null"},
}
# Keywords whose values are not schemas, and those whose values are maps of schemas.
_VALUES = {"default", "enum", "const", "examples"}
_MAPS = {"properties", "patternProperties"}


class Named(str):
    """Stands for a type: the schema that has this name already."""

    __slots__ = ()


class Schemas:
    """The schemas of a document: those with names, which others refer to."""

    def __init__(self) -> None:
        #: By name.
        self.named: dict[str, Schema] = {}
        self._classes: dict[tuple[Any, bool], str] = {}

    def of(self, hint: Any, sends: bool) -> Schema:
        """The schema of a type.

        Args:
            hint: The type.
            sends: Whether the server sends such values, or receives them.
        """
        if isinstance(hint, Named):
            return {"$ref": REF + hint}
        library = library_of(hint)
        if library not in ("pydantic", "msgspec"):
            return self._standard(hint, sends)
        by_library = self._by_pydantic if library == "pydantic" else self._by_msgspec
        try:
            return by_library(hint, sends)
        except Exception as exc:  # such as a field of a type that JSON has not
            return _any_of(hint, type(exc).__name__)

    def _by_pydantic(self, hint: Any, sends: bool) -> Schema:
        from pydantic import TypeAdapter

        # As an item, because the model of an adapter itself would have no name.
        adapter: TypeAdapter[Any] = TypeAdapter(list[hint])
        made = adapter.json_schema(
            mode="serialization" if sends else "validation",
            ref_template=REF + "{model}",
            schema_generator=_generator(),
        )
        return self._merged(made["items"], made.get("$defs", {}), sends)

    def _by_msgspec(self, hint: Any, sends: bool) -> Schema:
        import msgspec

        (made,), defs = msgspec.json.schema_components(
            (hint,), ref_template=REF + "{name}"
        )
        return self._merged(made, defs, sends)

    def _standard(self, hint: Any, sends: bool) -> Schema:
        origin, args = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.of(args[0], sends)
        if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
            return {}
        if origin is None and hint in _BUILTINS:
            return dict(_BUILTINS[hint])
        if origin is Literal:
            return _one_of(hint, args)
        if origin is Union or origin is types.UnionType:
            return {"anyOf": [self.of(arg, sends) for arg in args]}
        if origin is tuple:
            return self._tuple(args, sends)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(args[1], sends)}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(args[0], sends)}
        if isinstance(hint, typing.NewType):
            return self.of(hint.__supertype__, sends)
        if hasattr(hint, "__value__"):  # an alias by the statement `type`
            return self.of(hint.__value__, sends)
        if isinstance(hint, type):
            if issubclass(hint, Enum):
                return self._class(hint, sends, lambda: _one_of(hint, hint))
            if dataclasses.is_dataclass(hint):
                return self._class(hint, sends, lambda: self._dataclass(hint, sends))
            if typing.is_typeddict(hint) or hasattr(hint, "__required_keys__"):
                return self._class(hint, sends, lambda: self._typed_dict(hint, sends))
        return self._other(hint, sends)

    def _tuple(self, args: tuple[Any, ...], sends: bool) -> Schema:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": self.of(args[0], sends)}
        items = [self.of(arg, sends) for arg in args]
        return tuple_of(items, len(items))

    def _class(self, cls: type, sends: bool, make: Callable[[], Schema]) -> Schema:
        """A class as a schema with its name, which may refer to itself."""
        key = (cls, sends)
        if key not in self._classes:
            name = _identifier(cls.__name__)
            if name in self.named:
                name = next(n for n in _names_like(name, sends) if n not in self.named)
            self._classes[key] = name
            self.named[name] = {}  # taken
            schema = {"title": cls.__name__, **make()}
            other = self._classes.get((cls, not sends))
            if other is not None and self.named[other] == _renamed(
                schema, {name: other}
            ):
                # The same in both directions.
                del self.named[name]
                self._classes[key] = other
            else:
                self.named[name] = schema
        return {"$ref": REF + self._classes[key]}

    def _dataclass(self, cls: Any, sends: bool) -> Schema:
        hints = _hints_of(cls)
        properties, required = {}, []
        for one in dataclasses.fields(cls):
            if not one.init and not sends:
                continue
            properties[one.name] = self.of(hints.get(one.name, Any), sends)
            if sends or (
                one.default is dataclasses.MISSING
                and one.default_factory is dataclasses.MISSING
            ):
                required.append(one.name)
        return _object(properties, required)

    def _typed_dict(self, cls: Any, sends: bool) -> Schema:
        hints = _hints_of(cls)
        required = [name for name in hints if name in cls.__required_keys__]
        properties = {name: self.of(hint, sends) for name, hint in hints.items()}
        return _object(properties, required)

    def _other(self, hint: Any, sends: bool) -> Schema:
        """Types that neither a model nor JSON has, such as dates: as pydantic says."""
        try:
            return self._by_pydantic(hint, sends)
        except Exception as exc:  # pydantic is not there, or does not know it either
            return _any_of(hint, type(exc).__name__)

    def _merged(
        self, schema: Schema, defs: Mapping[str, Schema], sends: bool
    ) -> Schema:
        """Take in the schemas that another refers to; those of other values whose
        names are taken get new ones."""
        defs = {name: _fitted(one) for name, one in defs.items()}
        differ = {
            name for name, one in defs.items() if self.named.get(name, one) != one
        }
        while True:
            more = {
                name
                for name, one in defs.items()
                if name in self.named and _refs(one) & differ
            } - differ
            if not more:
                break
            differ |= more
        names: dict[str, str] = {}
        for name in sorted(differ):
            names[name] = next(
                new
                for new in _names_like(name, sends)
                if new not in names.values()
                # What was renamed before has that name again.
                and self.named.get(new, one := _renamed(defs[name], {name: new})) == one
            )
        for name, one in defs.items():
            self.named[names.get(name, name)] = _renamed(one, names)
        merged: Schema = _renamed(_fitted(schema), names)
        return merged


def _names_like(name: str, sends: bool) -> Iterator[str]:
    """Names in the place of one that is taken, such as by the other direction."""
    yield f"{name}{'Output' if sends else 'Input'}"
    yield from (f"{name}{number}" for number in itertools.count(2))


@functools.cache
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """What the server sends has all fields: defaults are sent too."""

        def field_is_required(self, field: Any, total: bool) -> bool:
            if self.mode == "serialization" and field["type"] != "typed-dict-field":
                return not field.get("serialization_exclude")
            return super().field_is_required(field, total)

    return Generator


def tuple_of(items: list[Schema], least: int, rest: Schema | None = None) -> Schema:
    """The schema of an array with a schema for each item.

    Args:
        items: The schemas.
        least: How many are required.
        rest: The schema of all further items; ``None`` if there may be none.
    """
    schema: Schema = {"type": "array", "minItems": least}
    if items:
        schema["items"] = items
        schema["additionalItems"] = False if rest is None else rest
    elif rest is not None:
        schema["items"] = rest
    if rest is None:
        schema["maxItems"] = len(items)
    return schema


def _object(properties: Schema, required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _hints_of(cls: Any) -> dict[str, Any]:
    space = vars(sys.modules[cls.__module__])
    try:
        return typing.get_type_hints(cls, space)
    except Exception as exc:
        warnings.warn(
            f"a field of {cls.__name__} cannot be resolved ({exc}); its fields may "
            "have any value in the description",
            AsyncAPIWarning,
            stacklevel=2,
        )
        return {}


def _one_of(hint: Any, values: Iterable[Any]) -> Schema:
    """The schema of a type that is a list of values."""
    plain = [value.value if isinstance(value, Enum) else value for value in values]
    if all(isinstance(value, (str, int, float, type(None))) for value in plain):
        return {"enum": plain}
    return _any_of(hint, "values that JSON has not")


def _any_of(hint: Any, reason: str) -> Schema:
    warnings.warn(
        f"{hint!r} has no JSON Schema ({reason}); any value is described: use a "
        "dataclass, a model or a struct",
        AsyncAPIWarning,
        stacklevel=2,
    )
    return {}


def _fitted(schema: Any) -> Any:
    """A schema of pydantic or msgspec as AsyncAPI's have to be: of JSON Schema draft 7,
    and with bytes that are attachments."""

    def fit(value: Schema) -> Schema:
        fitted = dict(value)
        # An object here, and there the name of a property.
        fitted.pop("discriminator", None)
        if "prefixItems" in fitted:
            if "items" in fitted:
                fitted["additionalItems"] = fitted["items"]
            fitted["items"] = fitted.pop("prefixItems")
        if "contentEncoding" in fitted:
            del fitted["contentEncoding"]
            fitted["format"] = "binary"
        return fitted

    return _walk(schema, fit)


def _refs(schema: Any) -> set[str]:
    """The names that a schema refers to."""
    found: set[str] = set()

    def look(value: Schema) -> Schema:
        if "$ref" in value:
            found.add(value["$ref"].removeprefix(REF))
        return value

    _walk(schema, look)
    return found


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    def rename(value: Schema) -> Schema:
        if "$ref" not in value:
            return value
        name = value["$ref"].removeprefix(REF)
        return {**value, "$ref": REF + names.get(name, name)}

    return _walk(schema, rename)


def _walk(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """A copy of a schema, with each schema inside changed."""
    if isinstance(schema, list):
        return [_walk(one, change) for one in schema]
    if not isinstance(schema, dict):
        return schema
    walked: Schema = {}
    for key, value in schema.items():
        if key in _VALUES:
            walked[key] = value
        elif key in _MAPS:
            walked[key] = {name: _walk(one, change) for name, one in value.items()}
        else:
            walked[key] = _walk(value, change)
    return change(walked)
