# Content codings of HTTP responses: which one a client accepts, and compression by it.

cpdef bytes compressed(bytes body, bytes encoding)
