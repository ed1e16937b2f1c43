"""Connections: HTTP, long-polling and WebSocket, our own and other servers'."""
