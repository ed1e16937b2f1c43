"""Docstrings and attributes as the reference shows them (an extension of griffe).

Griffe reads the sources. It does not see what the classes for threads are made of, what
compiled base classes have, and comments that begin with ``#:``; this adds them, and
writes what is reStructuredText in docstrings as Markdown.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import griffe

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([^`]+)`")
LITERAL = re.compile(r"^( *)(.*)::\n\n((?:\1 +.*(?:\n|$)|\n)+)", re.M)
PAGE = re.compile(r"(?<![\w/`])docs/([\w-]+)\.md")


class Docstrings(griffe.Extension):
    """Completes the objects that docs/reference/ names."""

    def on_package(
        self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any
    ) -> None:
        self.lines = loader.lines_collection
        self.public = _public_names(pkg)
        for obj in {found.path: found for found in self.public.values()}.values():
            if obj.is_class:
                _complete(obj)
        self._rewrite(pkg)

    def _rewrite(self, obj: griffe.Object) -> None:
        if obj.docstring is None and obj.is_attribute and obj.lineno:
            self._take_comment(obj)
        if obj.docstring is not None:
            obj.docstring.value = self._markdown(obj.docstring.value, obj)
        for member in obj.members.values():
            if not member.is_alias:
                self._rewrite(member)

    def _take_comment(self, attribute: griffe.Object) -> None:
        """Make the docstring of an attribute from the ``#:`` above it."""
        assert attribute.lineno is not None
        if attribute.filepath not in self.lines:
            return
        lines = self.lines[attribute.filepath]
        comment: list[str] = []
        for line in reversed(lines[: attribute.lineno - 1]):
            if not (found := re.match(r"\s*#: ?(.*)", line)):
                break
            comment.insert(0, found[1])
        if comment:
            attribute.docstring = _docstring("\n".join(comment), attribute)

    def _markdown(self, text: str, obj: griffe.Object) -> str:
        def link(match: re.Match[str]) -> str:
            short, name = match.groups()
            name = name.lstrip(".")
            shown = name.rsplit(".", 1)[-1] if short else name
            shown += "()" if match[0].startswith((":meth", ":func")) else ""
            target = self._find(name, obj)
            return f"[`{shown}`][{target}]" if target else f"`{shown}`"

        def block(match: re.Match[str]) -> str:
            indent, before, code = match.groups()
            code = textwrap.dedent(code).strip()
            before = {"Example": "For example:", "": ""}.get(before, before + ":")
            language = "python" if _is_python(code) else "text"
            fenced = f"{before}\n\n```{language}\n{code}\n```".strip()
            return "".join(f"{indent}{line}\n" for line in fenced.split("\n")) + "\n"

        text = LITERAL.sub(block, text + "\n").rstrip()
        text = PAGE.sub(_page, text)
        return ROLE.sub(link, text)

    def _find(self, name: str, obj: griffe.Object) -> str | None:
        """The public path of a name in the docstring of an object."""
        scope: griffe.Object | None = obj
        while scope is not None:
            if (found := self._public(f"{scope.path}.{name}")) is not None:
                return found
            scope = scope.parent
        return self._public(name) or self._public(f"socketio_fast.{name}")

    def _public(self, path: str) -> str | None:
        for public, obj in self.public.items():
            if path in (public, obj.path):
                return public
            for whole in (public, obj.path):
                rest = path.removeprefix(whole + ".")
                if rest != path and _has(obj, rest):
                    return f"{public}.{rest}"
        return None


def _page(match: re.Match[str]) -> str:
    """The link to a page of docs/, with its title."""
    title = (REFERENCE.parent / f"{match[1]}.md").read_text().partition("\n")[0]
    return f"[{title.removeprefix('# ')}](../{match[1]}.md)"


def _has(obj: griffe.Object, name: str) -> bool:
    member = obj.all_members.get(name) if "." not in name else None
    return member is not None and member.has_docstring


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _public_names(pkg: griffe.Module) -> dict[str, griffe.Object]:
    """What docs/reference/ names, and the objects that these are."""
    found = {}
    for page in sorted(REFERENCE.glob("*.md")):
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M):
            package, _, rest = name.partition(".")
            if package != pkg.name:
                continue
            obj = pkg[rest]
            found[name] = obj.final_target if obj.is_alias else obj
    return found


# What only the running classes know.


def _complete(obj: griffe.Object) -> None:
    """Add members that griffe does not see, or takes for something else."""
    module, _, name = obj.path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    inherited = obj.all_members
    for attribute in dir(cls):
        if attribute.startswith("_"):
            continue
        owner = next(base for base in cls.__mro__ if attribute in vars(base))
        if owner.__module__.partition(".")[0] != obj.package.name:
            continue  # of str, Exception, …
        known = inherited.get(attribute)
        static = inspect.getattr_static(cls, attribute)
        if known is not None and known.has_docstring:
            continue
        made = _made(attribute, static, getattr(cls, attribute), obj)
        if made is None:
            continue
        if known is not None and not known.inherited:
            made.lineno = known.lineno
        if made.is_function and not _annotated(made):
            _take_types(made, known, obj)
        obj.set_member(attribute, made)
    _complete_constructor(obj, cls)


def _complete_constructor(obj: griffe.Object, cls: Any) -> None:
    """Add the constructor that a decorator, or a tuple, gives a class."""
    if "__init__" in obj.members and "dataclass" not in obj.labels:
        return
    text = obj.docstring.value if obj.docstring is not None else ""
    if "**options:" in text:  # which stands for all of them
        options = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
        signature = inspect.Signature([options.replace(annotation="Any")])
    elif "\nArgs:\n" in text:
        signature = inspect.signature(cls)
    else:
        return
    parameters = _parameters(signature, obj)
    made = griffe.Function("__init__", parameters=parameters, parent=obj)
    obj.set_member("__init__", made)


def _docstring(text: str, obj: griffe.Object) -> griffe.Docstring:
    return griffe.Docstring(text, parent=obj, parser="google")


def _take_types(made: griffe.Object, known: Any, obj: griffe.Object) -> None:
    """Give a method the types that the sources or the stubs have for it."""
    if known is not None and known.is_function:
        made.parameters, made.returns = known.parameters, known.returns
    for base in obj.mro():
        if overloads := base.overloads.get(made.name):
            last = overloads[-1]  # which takes what all others take
            made.parameters, made.returns = last.parameters, last.returns
            return


def _annotated(function: griffe.Object) -> bool:
    return any(parameter.annotation for parameter in function.parameters)


def _made(
    name: str, static: Any, value: Any, parent: griffe.Object
) -> griffe.Object | None:
    doc = inspect.getdoc(static if not callable(value) else value)
    if (
        not doc
        or doc == inspect.getdoc(type(value))
        or doc.startswith("Alias for field")
    ):
        return None
    # Cython writes the signature into the first line.
    doc = re.sub(rf"\A(?:\w+\.)?{re.escape(name)}\(.*\n+", "", doc)
    doc = inspect.cleandoc(doc)
    made: griffe.Object
    if callable(value) and not inspect.isclass(value):
        try:
            signature = inspect.signature(value)
        except (TypeError, ValueError):
            return None
        made = griffe.Function(
            name,
            parameters=_parameters(signature, parent),
            returns=_expression(signature.return_annotation, parent),
            parent=parent,
        )
        if inspect.iscoroutinefunction(value):
            made.labels.add("async")
    elif inspect.isclass(value):
        return None
    else:
        made = griffe.Attribute(name, parent=parent)
        made.labels.add("property")
    made.docstring = _docstring(doc, made)
    return made


def _parameters(
    signature: inspect.Signature, parent: griffe.Object
) -> griffe.Parameters:
    empty = inspect.Parameter.empty
    return griffe.Parameters(
        *(
            griffe.Parameter(
                each.name,
                annotation=_expression(each.annotation, parent),
                kind=griffe.ParameterKind(each.kind.description),
                default=None if each.default is empty else repr(each.default),
            )
            for each in signature.parameters.values()
        )
    )


def _expression(annotation: Any, parent: griffe.Object) -> Any:
    if annotation is inspect.Signature.empty:
        return None
    annotation = getattr(annotation, "__forward_arg__", annotation)
    text = (
        annotation
        if isinstance(annotation, str)
        else inspect.formatannotation(annotation)
    )
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text
    return griffe.safe_get_expression(node, parent=parent)
