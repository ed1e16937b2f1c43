"""What README.md and docs/ hold beside Python: commands, configurations, links."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.logs import logging_as_it_was

import socketio_fast
from docs.pages import (
    FENCE,
    PAGES,
    PROGRAMS,
    ROOT,
    Fence,
    commands,
    fences,
    name_of,
)
from socketio_fast import __main__ as command
from socketio_fast.cli import (
    asyncapi,
    bench,
    completion,
    connect,
    doctor,
    flags,
    new,
    status,
)
from socketio_fast.serving import program as serving_program

LANGUAGES = {
    *("python", "sh", "text", "html", "js", "json"),
    "ts",  # tests/interop/test_asyncapi.py compiles it
    *("nginx", "haproxy", "caddy", "ini", "yaml", "dockerfile"),
}

pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


def each(*languages: str) -> Any:
    return pytest.mark.parametrize("fence", fences(*languages), ids=str)


def check(*words: str | Path, **options: Any) -> None:
    """Run a program that judges a file."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def needs(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pages
def test_every_block_says_its_language(page: Path) -> None:
    """Otherwise a snippet of Python could be one that nothing executes."""
    text = page.read_text()
    marks = re.findall(r"^\s*(?:```|~~~).*$", text, re.M)
    assert len(marks) == 2 * len(FENCE.findall(text))
    outside = FENCE.sub("", text)
    assert not re.search(r"^ {4,}(?:import|from|async def|def|sio\.|@)", outside, re.M)
    for language, _ in FENCE.findall(text):
        assert language in LANGUAGES


# Commands.


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=f"{place} {' '.join(words)}")
        for place, words in commands()
        if words[0] in PROGRAMS[:2]
    ],
)
def test_commands_of_this_package_are_understood(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token.json").write_text("{}")
    (tmp_path / "production.env").touch()
    served: list[Any] = []
    monkeypatch.setattr(socketio_fast, "run", lambda app, **more: served.append(app))
    monkeypatch.setattr(serving_program, "load", lambda place, factory: place)

    def understood(parser: Any, options: Any) -> None:
        flags.complete(parser, options)
        served.append(options)

    for subcommand in (connect, bench):
        monkeypatch.setattr(subcommand, "_execute", understood)

    def understood_by_doctor(parser: Any, options: Any) -> None:
        flags.complete_server(parser, options)
        served.append(options)

    monkeypatch.setattr(doctor, "_execute", understood_by_doctor)
    for subcommand in (completion, new):
        monkeypatch.setattr(
            subcommand, "_execute", lambda _, found: served.append(found)
        )
    monkeypatch.setattr(status, "_execute", served.append)
    monkeypatch.setattr(asyncapi, "_execute", lambda _, given: served.append(given))
    arguments = [re.sub("^%i$", "5000", word) for word in words[1:]]
    if {"--help", "--version"} & {*arguments}:
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 0
        return
    if len(arguments) == 1:  # the command in a sentence
        takes_app = arguments[0] in ("run", "asyncapi")
        arguments.append("module:app" if takes_app else "http://localhost")
    with logging_as_it_was():
        command.main(arguments)
    assert served


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=f"{place} {' '.join(words)}")
        for place, words in commands()
        if words[0] in PROGRAMS[2:] and any(word[0] == "-" for word in words)
    ],
)
def test_flags_of_other_servers_are_there(words: list[str]) -> None:
    program = Path(sys.executable).parent / words[0]
    if not program.exists():
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(
        [program, "--help"], capture_output=True, text=True, timeout=30
    )
    for word in words[1:]:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}\b", done.stdout), word


def test_there_are_commands() -> None:
    names = [words[0] for _, words in commands()]
    for program in PROGRAMS:
        assert program in names


@each("sh")
def test_commands_are_of_a_shell(fence: Fence) -> None:
    check(needs("sh"), "-n", input=fence.text)


@each("sh")
def test_modules_that_are_run_are_there(fence: Fence) -> None:
    for name in re.findall(r"python -m (\w[\w.]*)", fence.text):
        assert not name.startswith(("tests.", "socketio_fast")) or any(
            (ROOT / name.replace(".", "/")).with_suffix(suffix).exists()
            for suffix in (".py", "")
        ), name
    for name in re.findall(r"(?:python|--prefix) ((?:examples|tests)/\S+)", fence.text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "fence", [fence for fence in fences("sh") if "openssl" in fence.text], ids=str
)
def test_a_certificate_is_made(fence: Fence, tmp_path: Path) -> None:
    needs("openssl")
    needs("xxd")
    check(needs("sh"), "-e", input=fence.text, cwd=tmp_path)
    assert (tmp_path / "cert.pem").read_text().startswith("-----BEGIN CERTIFICATE")


@pytest.mark.parametrize(
    "fence", [fence for fence in fences("sh") if "python -c" in fence.text], ids=str
)
def test_a_hash_is_made_of_what_is_typed(fence: Fence, tmp_path: Path) -> None:
    _, *words = shlex.split(fence.text)
    done = subprocess.run(
        [sys.executable, *words],
        input="secret\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,  # where an installed package is found, and no checkout
    )
    assert done.stdout.startswith("scrypt$16384$8$1$"), done.stderr


# Configurations.


@each("nginx")
def test_nginx_takes_its_configuration(fence: Fence, tmp_path: Path) -> None:
    nginx = needs("nginx")
    inner = fence.text
    if inner.startswith("location"):
        inner = f"server {{\nlisten 127.0.0.1:1;\n{inner}}}\n"
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{inner}}}\n"
    )
    check(nginx, "-t", "-p", tmp_path, "-c", file)


@each("haproxy")
def test_haproxy_takes_its_configuration(fence: Fence, tmp_path: Path) -> None:
    haproxy = needs("haproxy")
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n"
        "    timeout server 60s\n\n"
        "frontend all\n    bind 127.0.0.1:1\n    default_backend socketio\n\n"
        f"{fence.text}"
    )
    check(haproxy, "-c", "-f", file)


@each("ini")
def test_units_of_systemd_have_known_settings(fence: Fence) -> None:
    known = {
        "Unit": {"After", "Description"},
        "Service": {
            *("Environment", "ExecReload", "ExecStart", "KillMode", "LimitNOFILE"),
            *("Restart", "TimeoutStopSec", "User", "WorkingDirectory"),
        },
        "Install": {"WantedBy"},
    }
    section = ""
    for line in fence.text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            assert line.partition("=")[0] in known[section], line
    assert "[Service]" in fence.text


@each("caddy")
def test_caddy_takes_its_configuration(fence: Fence, tmp_path: Path) -> None:
    caddy = needs("caddy")
    file = tmp_path / "Caddyfile"
    file.write_text(fence.text)
    home = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    check(caddy, "validate", "--config", file, "--adapter", "caddyfile", env=home)


@each("dockerfile")
def test_images_have_known_instructions(fence: Fence) -> None:
    lines = fence.text.replace("\\\n", " ").splitlines()
    assert lines[0].startswith("FROM ")
    for line in lines:
        instruction, _, rest = line.partition(" ")
        assert instruction in {
            "",
            "CMD",
            "COPY",
            "ENV",
            "FROM",
            "RUN",
            "USER",
            "WORKDIR",
        }
        assert instruction != "CMD" or json.loads(rest)


@each("yaml")
def test_yaml_is_read(fence: Fence) -> None:
    yaml = pytest.importorskip("yaml")
    for document in yaml.safe_load_all(fence.text):
        assert isinstance(document, dict)


@each("json")
def test_json_is_read(fence: Fence) -> None:
    assert json.loads(fence.text)


@each("js", "html")
def test_javascript_is_read(fence: Fence, tmp_path: Path) -> None:
    node = needs("node")
    text = fence.text
    if fence.language == "html":
        text = "".join(re.findall(r"<script>(.*?)</script>", text, re.S))
        assert text
    file = tmp_path / "snippet.js"
    file.write_text(text)
    check(node, "--check", file)


# Links.


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


@pages
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    for target in re.findall(r"\]\((?!\w+://)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), target


def test_every_page_is_in_the_list_of_pages() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in PAGES[1:]:
        name = name_of(page)
        assert f"(docs/{name})" in readme or name.startswith("reference/"), name
