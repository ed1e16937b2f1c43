"""Named by programs that are frozen; WebSockets need nothing of it here."""
