"""Named by programs that are frozen; ``attach()`` of a server is all that is needed."""
