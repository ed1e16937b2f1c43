"""Programs of WSGI frameworks with a Socket.IO server, as people write them.

Each has a page that logs in, and a handler that tells who has: by the framework's own
session, of the cookie that the client connects with.
"""

from __future__ import annotations

from typing import Any

import socketio_fast as socketio


def new_server() -> socketio.Server:
    sio = socketio.Server()

    @sio.event
    def join(sid: str, room: str) -> list[str]:
        sio.enter_room(sid, room)
        return sio.rooms(sid)[1:]

    @sio.event
    def say(sid: str, room: str, data: Any) -> None:
        sio.emit("said", data, room=room)

    return sio


def flask_app() -> Any:
    """Flask: wrapped by its ``wsgi_app``, so that ``app.run()`` serves both."""
    import flask

    sio = new_server()
    app = flask.Flask(__name__)
    app.secret_key = "secret"

    @app.route("/login/<name>")
    def login(name: str) -> str:
        flask.session["name"] = name
        return f"hello {name}"

    @app.route("/publish/<room>")
    def publish(room: str) -> str:
        sio.emit("said", "published", room=room)
        return "done"

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        with app.request_context(environ):
            sio.save_session(sid, {"name": flask.session.get("name")})

    @sio.event
    def who(sid: str) -> Any:
        return sio.get_session(sid)["name"] or "nobody"

    app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app)  # type: ignore[method-assign]
    return app


def bottle_app() -> Any:
    """Bottle."""
    import bottle

    sio = new_server()
    app = bottle.Bottle()

    @app.route("/login/<name>")
    def login(name: str) -> str:
        bottle.response.set_cookie("name", name, secret="secret", path="/")
        return f"hello {name}"

    @app.route("/publish/<room>")
    def publish(room: str) -> str:
        sio.emit("said", "published", room=room)
        return "done"

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        request = bottle.Request(environ)
        sio.save_session(sid, {"name": request.get_cookie("name", secret="secret")})

    @sio.event
    def who(sid: str) -> Any:
        return sio.get_session(sid)["name"] or "nobody"

    return socketio.WSGIApp(sio, app)


def django_app() -> Any:
    """Django, its settings made here."""
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIRequest
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path
    from django.utils.module_loading import import_string

    sio = new_server()

    def login(request: HttpRequest, name: str) -> HttpResponse:
        request.session["name"] = name
        return HttpResponse(f"hello {name}")

    def publish(request: HttpRequest, room: str) -> HttpResponse:
        sio.emit("said", "published", room=room)
        return HttpResponse("done")

    class Urls:
        urlpatterns = (
            path("login/<name>", login),
            path("publish/<room>", publish),
        )

    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        ROOT_URLCONF=Urls,
        SECRET_KEY="secret",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )
    django.setup()

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        key = WSGIRequest(environ).COOKIES.get(settings.SESSION_COOKIE_NAME)
        store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(key)
        sio.save_session(sid, {"name": store.get("name")})

    @sio.event
    def who(sid: str) -> Any:
        return sio.get_session(sid)["name"] or "nobody"

    return socketio.WSGIApp(sio, get_wsgi_application())
