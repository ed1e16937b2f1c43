"""What clients are made of: how they reach a server."""
