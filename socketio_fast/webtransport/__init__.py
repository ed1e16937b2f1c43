"""WebTransport, as far as it is the same on both sides."""
