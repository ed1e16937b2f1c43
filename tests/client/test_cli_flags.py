"""socketio-fast connect: where it connects, as whom, how, and how often it tries."""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import command, lines_of, make_server, objects, of, run
from support.scripted_servers import HttpProxy, Socks5Proxy
from support.threaded_servers import Running, running

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast.__main__ import main


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


def test_flags_of_the_client(server: Running, tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"token": "ä"}')
    text = lines_of({"event": "came_with", "ack": True})
    done = run(
        *(server.url + "?room=7", "--json", "-n", "/chat", "--auth", "@auth.json"),
        *("-H", "X-Trace: 1:2", "--transport", "websocket"),
        *("--query", "a=b=c", "-q", "d=ä&"),
        cwd=tmp_path,
        text=text,
    )
    told = objects(done)
    auth, trace, query = of("ack", told)[0]["args"]
    assert (auth, trace) == ({"token": "ä"}, "1:2")
    for parameter in ("room=7", "a=b%3Dc", "d=%C3%A4%26"):
        assert parameter in query.split("&")
    assert "transport=websocket" in query
    assert told[0]["transport"] == "websocket"
    assert {each["namespace"] for each in told} == {"/chat"}
    assert not of("upgrade", told)


def test_msgpack_and_revision_3(tmp_path: Path) -> None:
    text = lines_of({"event": "echo", "args": [{"$hex": "01"}], "ack": True})
    for server_options, arguments in (
        ({"serializer": "msgpack"}, ["--msgpack"]),
        ({"allow_eio3": True}, ["--eio", "3"]),
    ):

        def make(options: dict[str, Any] = server_options) -> Any:
            sio = socketio.AsyncServer(**options)
            sio.on("echo", lambda sid, *args: args)
            return sio

        with running(make) as server:
            done = run(server.url, "--json", *arguments, cwd=tmp_path, text=text)
        (ack,) = of("ack", objects(done))
        assert ack["args"] == [{"$hex": "01"}]
        assert done.returncode == 0


def test_webtransport(authority: Any, authority_file: str, tmp_path: Path) -> None:
    pytest.importorskip("aioquic")
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    options = {
        "ssl_certfile": str(tmp_path / "cert.pem"),
        "ssl_keyfile": str(tmp_path / "key.pem"),
        "webtransport": True,
    }
    make = functools.partial(
        socketio.AsyncServer, transports=["polling", "websocket", "webtransport"]
    )
    arguments = ("--json", "--transport", "webtransport")
    with running(make, **options) as server:
        for trust in (["--insecure"], ["--cacert", authority_file]):
            done = run(server.url, *arguments, *trust, cwd=tmp_path)
            assert objects(done)[0]["transport"] == "webtransport"
            assert (done.returncode, done.stderr) == (0, "")


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(make_server, uds=str(path)):
        text = lines_of({"event": "echo", "ack": True})
        done = run(f"unix://{path}", "--json", cwd=tmp_path, text=text)
    assert len(of("ack", objects(done))) == 1
    assert (done.returncode, done.stderr) == (0, "")


def test_another_path_names_the_flag(server: Running, tmp_path: Path) -> None:
    done = run(server.url, "--path", "other", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "(here socketio_path= is --path)" in line


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = run(url, "--json", cwd=tmp_path)
    (told,) = objects(done)
    assert told["type"] == "connect_error"
    assert "connection refused" in told["message"]
    assert done.stderr == f"socketio-fast: {told['message']}\n"
    assert done.returncode == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_refused_namespace(server: Running, tmp_path: Path, as_json: bool) -> None:
    arguments = ["--json"] if as_json else []
    done = run(server.url, "-n", "/refusing", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    if as_json:
        (told,) = of("refused", objects(done))
        assert (told["message"], told["data"]) == ("not you\x1b[31m", {"a": 1})
    else:
        assert 'the server refuses /refusing: not you\\u001b[31m {"a": 1}' in (
            done.stdout
        )
    assert "\x1b" not in done.stdout


def test_a_log(server: Running, tmp_path: Path) -> None:
    done = run(server.url, "-v", cwd=tmp_path, text='back "a\\u001b" 1\necho?')
    assert "ack of echo" in done.stdout
    assert " WebSocket upgrade was successful\n" in done.stderr
    assert ' Emitting event "echo" [/]\n' in done.stderr
    assert " received event " in done.stderr
    assert "\x1b" not in done.stderr


# --- certificates and proxies ----------------------------------------------------


async def test_certificates(
    serve: Any, server_context: Any, authority_file: str, tmp_path: Path
) -> None:
    url = (await serve(make_server(), ssl=server_context)).url
    refused = await asyncio.to_thread(run, url, cwd=tmp_path)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("socketio-fast: cannot connect to https://")
    assert line.endswith(
        "(here ssl_verify=context is --cacert; ssl_verify=False is --insecure)"
    )
    for more in (["--insecure"], ["--cacert", authority_file]):
        accepted = await asyncio.to_thread(run, url, *more, cwd=tmp_path)
        assert (accepted.returncode, accepted.stderr) == (0, "")


@pytest.mark.parametrize("trust", [["--cacert", "authority.pem"], ["-k"]])
async def test_a_certificate_of_the_client(
    serve: Any, server_context: Any, authority: Any, authority_file: str,
    tmp_path: Path, trust: list[str],
) -> None:  # fmt: skip
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    url = (await serve(make_server(), ssl=server_context)).url
    own = authority.issue_cert("client.test")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    refused = await asyncio.to_thread(run, url, *trust, cwd=tmp_path)
    assert refused.returncode == 1
    for shown in (["--cert", "both.pem"], ["--cert", "cert.pem", "--key", "key.pem"]):
        arguments = (url, *trust, *shown)
        accepted = await asyncio.to_thread(run, *arguments, cwd=tmp_path)
        assert (accepted.returncode, accepted.stderr) == (0, "")


@pytest.mark.parametrize(
    ("kind", "scheme"), [(HttpProxy, "http"), (Socks5Proxy, "socks5")]
)
async def test_a_proxy(
    server: Running, listen: Listen, tmp_path: Path, kind: Any, scheme: str
) -> None:
    """The host's name exists only for the proxy."""
    proxy = await listen(kind("me", "p:"))
    url = server.url.replace("127.0.0.1", "server.test")
    by = f"{scheme}://me:p%3A@127.0.0.1:{proxy.port}"
    text = lines_of({"event": "echo", "args": [1], "ack": True})
    arguments = (url, "--proxy", by, "--json")
    done = await asyncio.to_thread(run, *arguments, cwd=tmp_path, text=text)
    told = objects(done)
    assert of("upgrade", told)
    assert of("ack", told)[0]["args"] == [1]
    assert (done.returncode, done.stderr) == (0, "")
    assert any("server.test" in asked for asked in proxy.asked)


async def test_a_proxy_that_refuses(
    server: Running, listen: Listen, tmp_path: Path
) -> None:
    proxy = await listen(HttpProxy("me", "secret"))
    by = f"127.0.0.1:{proxy.port}"
    done = await asyncio.to_thread(run, server.url, "--proxy", by, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"by the proxy http://{by}: " in line
    assert line.endswith("(here proxy= is --proxy)")


def test_no_proxy(server: Running, tmp_path: Path) -> None:
    variables = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "", "no_proxy": ""}
    refused = run(server.url, cwd=tmp_path, **variables)
    assert "by the proxy http://127.0.0.1:1" in refused.stderr
    done = run(server.url, "--no-proxy", cwd=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, "")


# --- how often it tries ----------------------------------------------------------


def test_retry_goes_on_until_there_is_a_server(tmp_path: Path) -> None:
    with running(make_server) as server:
        server.stop()
        arguments = ("connect", server.url, "--json", "--retry")
        delay = ("--reconnection-delay", "0.05", "--reconnection-delay-max", "0.05")
        with command(*arguments, *delay, cwd=tmp_path) as script:
            script.say({"event": "echo", "ack": True})
            script.end_input()
            for number in (1, 2):
                assert "connection refused" in script.told("connect_error")["message"]
                assert script.told("reconnecting")["attempt"] == number
            server.start()
            script.told("connect")
            script.told("ack")
            assert (script.status(), script.errors()) == (0, "")


def test_retry_has_an_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    arguments = (url, "--retry", "--reconnection-delay", "0.05")
    done = run(
        *arguments, "--json", "--reconnection-attempts", "2", cwd=tmp_path
    )  # fmt: skip
    told = objects(done)
    assert [each["type"] for each in told] == [
        "connect_error",
        *("reconnecting", "connect_error") * 2,
        "reconnect_failed",
    ]
    assert told[-1]["attempts"] == 2
    (line,) = done.stderr.splitlines()
    assert "connection refused" in line
    done = run(*arguments, "--reconnection-attempts", "1", cwd=tmp_path)
    assert done.stdout.splitlines()[-1][13:] == "given up after 1 attempts"
    assert done.returncode == 1


def test_a_signal_while_it_retries(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with command("connect", url, "--json", "--retry", cwd=tmp_path) as script:
        script.told("reconnecting")
        script.process.send_signal(signal.SIGTERM)
        assert (script.status(), script.errors()) == (143, "")


def test_no_reconnection(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command(
            "connect", server.url, "--json", "--no-reconnection", cwd=tmp_path
        ) as script,
    ):
        script.told("upgrade")
        server.stop()
        assert script.told("disconnect")["reason"] == "transport error"
        assert script.line() == ""
        assert (script.status(), script.errors()) == (1, "")
        server.start()


def test_no_more_attempts(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command(
            *("connect", server.url, "--json", "--reconnection-attempts", "1"),
            *("--reconnection-delay", "0.05"),
            cwd=tmp_path,
        ) as script,
    ):
        script.told("upgrade")
        server.stop()
        script.told("connect_error")
        assert script.told()["type"] == "reconnect_failed"
        assert (script.status(), script.errors()) == (1, "")
        server.start()


# --- what is no command line -----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["localhost:5000"], "'localhost:5000': the URL of a server expected"),
        (["ftp://a"], "'ftp://a': the URL of a server expected"),
        (["http://a:x"], "'http://a:x': the URL of a server expected"),
        (["http://a", "--auth", "{"], "--auth: the JSON: Expecting property name"),
        (["http://a", "--auth", "5"], "--auth: the JSON: an object expected"),
        (["http://a", "--auth", "@none"], "--auth: @none: [Errno 2]"),
        (["http://a", "-H", "x"], "'x': a header expected, such as 'X-Trace: 1'"),
        (["http://a", "-H", "x y: 1"], "'x y': a header expected"),
        (["http://a", "-n", "chat"], "'chat': a name that begins with / and has no"),
        (["unix://run/app.sock"], "'unix://run/app.sock': the URL of a server"),
        (["http://a", "--auth", "/chat"], "--auth: NAMESPACE=JSON, NAMESPACE=@FILE"),
        (["http://a", "--auth", "/chat={"], "--auth: the JSON: Expecting property"),
        (["http://a", "--auth", "/b={}"], "/b=…: it is not joined; add --namespace /b"),
        (["http://a", "--query", "x"], "'x': NAME=VALUE expected"),
        (["http://a", "--query", "=x"], "'': NAME=VALUE expected"),
        (["http://a", "--proxy", "ftp://u:p@a"], "'ftp://a': the scheme of a proxy is"),
        (["http://a", "--proxy", "b", "--no-proxy"], "not allowed with argument"),
        (["http://a", "--retry", "--no-reconnection"], "not allowed with argument"),
        (["http://a", "--key", "b"], "--key: the certificate is missing; add --cert"),
        (["http://a", "--cacert", "none"], "none: [Errno 2]"),
        (["http://a", "--cert", "none"], "none: [Errno 2]"),
        (["http://a", "--reconnection-attempts", "0"], "'0': a number from 1 on"),
        (["http://a", "--wait-timeout", "0"], "'0': seconds above 0 expected"),
        (["http://a", "--ack-timeout", "nan"], "'nan': seconds above 0 expected"),
        (["http://a", "--transport", "pigeon"], "invalid choice: 'pigeon'"),
        (["http://a", "--eio", "5"], "invalid choice: 5"),
        ([], "the following arguments are required: URL"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["connect", *arguments])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.splitlines()[-1]


def test_a_secret_in_auth_is_not_repeated(tmp_path: Path) -> None:
    done = run("http://a", "--auth", '{"token": secret}', cwd=tmp_path)
    assert "secret" not in done.stderr
