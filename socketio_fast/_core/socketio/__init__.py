"""Socket.IO clients in namespaces: dispatch, acknowledgements, rooms, recovery."""
