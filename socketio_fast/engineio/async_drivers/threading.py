"""Named by programs that are frozen; threads are what a ``Server`` always has."""
