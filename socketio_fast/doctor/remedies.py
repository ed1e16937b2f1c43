"""What to do: lines for nginx and HAProxy, and for the server.

The lines for nginx belong into the ``location`` of Engine.IO, those for HAProxy into
its ``backend``, unless a comment in them says otherwise.
"""

from __future__ import annotations

from socketio_fast.doctor.findings import Remedy

__all__ = [
    "BUFFERING",
    "CACHE",
    "CERTIFICATE",
    "GATEWAY",
    "ONE_ORIGIN",
    "PATH",
    "STICKY",
    "UPGRADE",
    "idle_timeouts",
]

UPGRADE = Remedy(
    "Let the proxy pass on the headers Upgrade and Connection, by HTTP/1.1.",
    {
        "nginx": "proxy_http_version 1.1;\n"
        "proxy_set_header Upgrade $http_upgrade;\n"
        'proxy_set_header Connection "upgrade";',
        "haproxy": "# HAProxy passes them on by itself: remove\n"
        "# http-request del-header Upgrade, and speak HTTP/1.1 to the server\n"
        "server one 127.0.0.1:5000 proto h1",
    },
)

BUFFERING = Remedy(
    "Switch the proxy's buffers off for this path.",
    {
        "nginx": "proxy_buffering off;\nproxy_request_buffering off;",
        "haproxy": "option http-no-delay",
    },
)

CACHE = Remedy(
    "Do not cache this path; the server says Cache-Control: no-store.",
    {
        "nginx": "proxy_cache off;",
        "haproxy": "# remove http-request cache-use and http-response cache-store, or\n"
        "http-response set-header Cache-Control no-store",
    },
)

STICKY = Remedy(
    "Let the processes share their sessions: socketio-fast run --workers N does, and "
    "cluster= in processes of uvicorn, gunicorn and others (docs/scaling.md). Between "
    "machines, send each client to the same one:",
    {
        "nginx": "# in the upstream block\nip_hash;",
        "haproxy": "balance source\nhash-type consistent",
    },
)

PATH = Remedy(
    "Give the client the server's path (path in JavaScript, socketio_path= in Python, "
    "--path here), or let the proxy pass this one on unchanged:",
    {
        "nginx": "# no URI behind the port: it would replace the path\n"
        "proxy_pass http://127.0.0.1:5000;",
        "haproxy": "# in the frontend\n"
        "use_backend socketio if { path_beg /socket.io/ }",
    },
)

CERTIFICATE = Remedy(
    "Serve the whole chain: the certificate, then those of the authorities between it "
    "and the root. Of an authority of your own, trust its certificate: --cacert FILE.",
    {
        "nginx": "# in the server block\n"
        "ssl_certificate /etc/ssl/example/fullchain.pem;",
        "haproxy": "# in the frontend: the file has the chain and the key\n"
        "bind :443 ssl crt /etc/haproxy/example.pem",
    },
)

GATEWAY = Remedy(
    "Start the server behind the proxy, and compare its address with the proxy's "
    "configuration:",
    {
        "nginx": "proxy_pass http://127.0.0.1:5000;",
        "haproxy": "server one 127.0.0.1:5000 check",
    },
)

ONE_ORIGIN = Remedy(
    "Let only one of the two write it: the server, by cors_allowed_origins.",
    {
        "nginx": "# remove add_header Access-Control-Allow-Origin, or hide the\n"
        "# server's\n"
        "proxy_hide_header Access-Control-Allow-Origin;",
        "haproxy": "# remove http-response add-header Access-Control-Allow-Origin",
    },
)


def idle_timeouts(seconds: float) -> Remedy:
    """Timeouts of a proxy that are longer than the server's heartbeat.

    Args:
        seconds: What they are to be at least.
    """
    time = f"{int(seconds) + 15}s"
    return Remedy(
        f"Let the proxy wait longer than ping_interval and ping_timeout of the server, "
        f"{seconds:g} s; or make ping_interval of the server shorter.",
        {
            "nginx": f"proxy_read_timeout {time};\nproxy_send_timeout {time};",
            "haproxy": f"timeout server {time}\ntimeout tunnel {time}\n"
            f"# in the frontend\ntimeout client {time}",
        },
    )
