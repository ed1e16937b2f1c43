"""Servers for programs with threads: the event loop's thread and the handlers' pool."""
