"""Several processes that serve one port: which has a session, and the way there."""
