"""Named by programs that are frozen; a server refuses this mode, see docs/sync.md."""
