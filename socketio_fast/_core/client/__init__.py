"""The client's side: its transports, its session, its place in each namespace."""
