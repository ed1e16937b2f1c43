"""Build the documentation site strictly, and follow all of its links.

    python .ci/site/build.py [DIRECTORY]

Pages that lie outside docs/ (CHANGELOG.md, the benchmarks, ...) become pages of the
site, and links lead to them. ``llms.txt`` lists all pages for language models, and a
copy of each page's Markdown stands beside it. ``SITE_URL`` is the address of the site,
for the sitemap and llms.txt.
"""

from __future__ import annotations

import inspect
import os
import posixpath
import pydoc
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".ci" / "work"
DOCS = ROOT / "docs"
#: Files outside docs/, and where they are in the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    **{
        f"examples/{path.parent.name}/README.md": f"examples/{path.parent.name}.md"
        for path in sorted((ROOT / "examples").glob("*/README.md"))
    },
}
#: A relative link, or code, in which nothing is one.
LINK = re.compile(
    r"^```.*?^```$|`[^`\n]*`"
    r"|(?P<text>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])"
    r"\((?!\w+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]+)?\)",
    re.M | re.S,
)
#: A table of options, which needs another layout on a phone.
OPTIONS = re.compile(r"^\| \w+ \| type \| default \| meaning \|\n(?:\|.*\n)+", re.M)
CODE = re.compile(r"`[^`\n]*`")


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, but nothing of Python in it."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def configuration() -> dict[str, Any]:
    text = (ROOT / "mkdocs.yml").read_text()
    loaded: dict[str, Any] = yaml.load(text, Loader)
    return loaded


def navigation(entry: Any, title: str = "") -> Iterator[tuple[str, str, str]]:
    """The section, the title and the file of each page in the navigation."""
    for item in entry:
        if isinstance(item, str):
            yield title, "", item
            continue
        ((name, inner),) = item.items()
        if isinstance(inner, str):
            yield title, name, inner
        else:
            yield from navigation(inner, title or name)


slug = slugify(case="lower")


# Before the build.


def collect(pages: Path) -> None:
    """Put all pages into this directory, with links that fit."""
    shutil.rmtree(pages, ignore_errors=True)
    places = {path: path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.*")}
    places |= {ROOT / source: place for source, place in OUTSIDE.items()}
    for plot in (ROOT / "benchmarks" / "plots").glob("*.svg"):
        places[plot] = f"plots/{plot.name}"
    titles = {name: title for _, title, name in navigation(configuration()["nav"])}
    for source, place in places.items():
        target = pages / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(_linked(source, place, places, titles))
        else:
            shutil.copyfile(source, target)


def _linked(
    source: Path, place: str, places: dict[Path, str], titles: dict[str, str]
) -> str:
    """The text of a page, whose links fit the site, and name pages by their titles."""

    def rewritten(match: re.Match[str]) -> str:
        if match["path"] is None:
            return match[0]
        target = (source.parent / match["path"]).resolve()
        if target in shown:
            return f"{match['text']}(#{slug(target.name, '-')})"
        page = places.get(target) or places.get(target / "README.md")
        if page is not None:
            path = posixpath.relpath(page, posixpath.dirname(place) or ".")
            text = match["text"]
            if text.strip("[]`").endswith(target.name):
                text = f"[{titles.get(page, target.stem)}]"
            return f"{text}({path}{match['anchor'] or ''})"
        # A file of the checkout that is no page; what is not there at all stays.
        return match["text"].strip("![]") if target.exists() else match[0]

    # Python-Markdown takes a table that follows a comment for a part of it, and a
    # backslash in code for what it is.
    shown = _files(source)
    text = re.sub(r"^(<!-- .* -->)\n(?=\|)", r"\1\n\n", source.read_text(), flags=re.M)
    text = re.sub(r"^\|.*$", lambda row: CODE.sub(_piped, row[0]), text, flags=re.M)
    text = LINK.sub(rewritten, text)
    text = OPTIONS.sub('<div class="options" markdown="1">\n\n\\g<0>\n</div>\n', text)
    for file in shown:
        text += f"\n## {file.name}\n\n````{file.suffix[1:]}\n{file.read_text()}````\n"
    return text


def _files(page: Path) -> list[Path]:
    """The files of an example, which its page shows."""
    if page.parent.parent != ROOT / "examples":
        return []
    return [*sorted(page.parent.glob("*.py")), *sorted(page.parent.glob("*.html"))]


def _piped(code: re.Match[str]) -> str:
    return code[0].replace(r"\|", "|")


def configure(pages: Path, site: Path) -> Path:
    """Write the configuration of this build."""
    text = (ROOT / "mkdocs.yml").read_text()
    for key, value in {
        "docs_dir": os.path.relpath(pages, WORK),
        "site_dir": os.path.relpath(site, WORK),
        "site_url": os.environ.get("SITE_URL", "http://localhost:8000/"),
    }.items():
        text = re.sub(rf"^{key}: .*\n", "", text, flags=re.M) + f"{key}: {value}\n"
    text = re.sub(r"(?<=paths: )\[\.\]", f"[{ROOT}]", text)
    text = text.replace("- .ci/site/", f"- {ROOT}/.ci/site/")
    file = WORK / "site.yml"
    file.write_text(text)
    return file


# After the build.


def describe(pages: Path, site: Path) -> None:
    """Write llms.txt, and the Markdown of each page beside it."""
    config = configuration()
    url = os.environ.get("SITE_URL", "")
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}"]
    last = ""
    for section, title, name in navigation(config["nav"]):
        text = (pages / name).read_text()
        address = name
        if ":::" in text:  # made of docstrings: only the HTML has all of it
            address = re.sub(r"(index)?\.md$", "", name).rstrip("/") + "/"
        else:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
        if section != last:
            lines += ["", f"## {section}", ""]
        elif not section:
            lines += [""]
        last = section
        heading = re.search(r"^# (.*)$", text, re.M)
        title = title or (heading[1] if heading else name)
        lines.append(f"- [{title}]({url}{address}){_about(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n")


def _about(text: str) -> str:
    """The first sentence of a page."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for paragraph in re.split(r"\n\s*\n", text):
        if re.match(r"[\w`*\[]", paragraph):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
            return ": " + re.split(r"(?<=[.:]) ", plain)[0].rstrip(":")
    return ""


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and the text of its references."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.unresolved: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)
        if tag == "autoref":
            self.unresolved.add(str(dict(attrs).get("identifier")))


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the links of the site."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    pages.pop(site / "404.html", None)  # its links depend on where the site is
    for path, page in pages.items():
        shown = path.relative_to(site)
        for name in sorted(page.unresolved):
            yield f"{shown}: {name} is not in the reference"
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            place = unquote(parts.path)
            target = (path.parent / place).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{shown}: the link {link} leads nowhere"
            elif target in pages and parts.fragment:
                anchor = unquote(parts.fragment)
                if anchor not in pages[target].anchors:
                    yield f"{shown}: there is no anchor {link}"


def referenced() -> dict[str, Any]:
    """The names of the reference, and what they stand for.

    Raises:
        pydoc.ErrorDuringImport: A package that one of them needs is not installed.
    """
    names = [
        name
        for page in sorted((DOCS / "reference").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)
    ]
    return {name: pydoc.locate(name) for name in names}


def missing(site: Path, names: dict[str, Any]) -> Iterator[str]:
    """Public members of the classes of the reference that it does not show."""
    anchors: set[str] = set()
    for page in (site / "reference").rglob("*.html"):
        anchors |= Page(page.read_text()).anchors
    for name, cls in names.items():
        if not isinstance(cls, type) or name not in anchors:
            continue
        bases = [base for base, found in names.items() if found in cls.__mro__]
        for member in dir(cls):
            owners = [base for base in cls.__mro__ if member in vars(base)]
            if not owners:
                continue  # of its metaclass, as an enumeration's
            static = inspect.getattr_static(cls, member)
            doc = inspect.getdoc(static)
            if (
                not member.startswith("_")
                and owners[0].__module__.startswith("socketio_fast.")
                and doc
                and doc != inspect.getdoc(type(static))
                and not inspect.isclass(static)
                and not doc.startswith("Alias for field")  # of a named tuple
                and not any(f"{base}.{member}" in anchors for base in bases)
            ):
                yield f"docs/reference: {name}.{member} is missing"


def build(site: Path) -> list[str]:
    """Build the site into this directory, and return what is wrong."""
    names = referenced()
    pages = WORK / "pages"
    collect(pages)
    shutil.rmtree(site, ignore_errors=True)
    command = ["zensical", "build", "--clean", "--strict", "-f", configure(pages, site)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=WORK)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    if done.returncode != 0 or re.search(
        r"^(warning|error|griffe)\b", said, re.I | re.M
    ):
        return [said]
    describe(pages, site)
    return [*faults(site), *missing(site, names)]


if __name__ == "__main__":
    destination = Path(sys.argv[1] if sys.argv[1:] else WORK / "site").resolve()
    wrong = build(destination)
    print("\n".join(wrong) or f"the site is in {destination}")
    sys.exit(bool(wrong))
