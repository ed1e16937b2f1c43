"""Django and Socket.IO on one port: whoever has logged in sees who else is there.

python examples/django/app.py

One file with no database: sessions are signed cookies. In a project of your own, the
lines from `sio = ` on go into its `asgi.py`.
"""

from __future__ import annotations

import os
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.template import engines
from django.urls import path

import socketio_fast as socketio

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEBUG=bool(os.environ.get("DEBUG")),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY") or os.urandom(32).hex(),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

LOGIN = """<!doctype html><title>Who is there</title>
<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{{ token }}">
<input name="name" aria-label="Name" maxlength="40" required> <button>Log in</button>
</form>"""

PAGE = """<!doctype html><title>Who is there</title>
<h1>Hello, {{ name }}</h1><p id="status">connecting</p><ul></ul>
<script src="https://cdn.socket.io/4.8.3/socket.io.min.js"></script>
<script>
  const list = document.querySelector("ul"), status = document.getElementById("status");
  const socket = io();
  function item(textContent) {
    return Object.assign(document.createElement("li"), { textContent });
  }
  socket.on("people", (names) => list.replaceChildren(...names.map(item)));
  socket.on("connect", () => (status.textContent = "connected"));
  socket.on("connect_error", (error) => (status.textContent = error.message));
</script>"""


def index(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "").strip()[:40]
    if request.method == "POST" and name:
        request.session["name"] = name
        return redirect("/")
    name = request.session.get("name")
    page = engines["django"].from_string(PAGE if name else LOGIN)
    return HttpResponse(page.render({"name": name, "token": get_token(request)}))


urlpatterns = [path("", index)]

sio = socketio.AsyncServer()
app = socketio.ASGIApp(sio, get_asgi_application())
people: dict[str, str] = {}


def session_of(environ: dict[str, Any]) -> Any:
    """Django's session of the request that opened the connection."""
    cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    cookie = cookies.get(settings.SESSION_COOKIE_NAME)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    return store(cookie and cookie.value)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    name = session_of(environ).get("name")  # a database would be asked in a thread
    if name is None:
        raise socketio.exceptions.ConnectionRefusedError("log in first")
    people[sid] = name
    await sio.emit("people", list(people.values()))


@sio.event
async def disconnect(sid: str, reason: str) -> None:
    if people.pop(sid, None) is not None:
        await sio.emit("people", list(people.values()))


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
