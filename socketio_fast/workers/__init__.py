"""Several processes that serve one port: which of them has a session, and the way there."""
