# Ids of sessions and of clients in namespaces.
cpdef str generate_id()
