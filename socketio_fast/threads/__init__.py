"""The versions for threads: an event loop of their own, a pool for handlers."""
