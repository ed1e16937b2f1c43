"""A process that serves: sockets that listen, signals, proxies, static files."""
