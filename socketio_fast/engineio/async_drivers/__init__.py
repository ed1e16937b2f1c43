"""Where python-engineio has its adapters for hosts, for programs that import those.

What hosts a server here is in :mod:`socketio_fast.hosting`.
"""
