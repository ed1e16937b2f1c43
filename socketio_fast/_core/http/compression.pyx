"""Content codings of HTTP responses (RFC 9110, section 8.4.1).

Brotli is available if the package `brotli` or `brotlicffi` is installed.
"""
import gzip
import zlib

try:
    import brotli
except ImportError:
    try:
        import brotlicffi as brotli
    except ImportError:
        brotli = None

# The content codings that are available, the most preferred first.
ENCODINGS = (
    (b"gzip", b"deflate") if brotli is None else (b"br", b"gzip", b"deflate")
)


cpdef bytes compressed(bytes body, bytes encoding):
    """Compress the body of a response by one of `ENCODINGS`."""
    if encoding == b"br":
        return brotli.compress(body, quality=5)
    if encoding == b"gzip":
        return gzip.compress(body, 6, mtime=0)
    return zlib.compress(body)


def accepted_encoding(bytes accept, tuple encodings=ENCODINGS):
    """The content coding that a client prefers (RFC 9110, section 12.5.3).

    Args:
        accept: Its Accept-Encoding header; None: it has sent none.
        encodings: The codings to choose from. The first of equal weight is chosen.

    Returns:
        One of `encodings`; None if the client accepts none of them, or prefers
        `identity`.
    """
    if accept is None:
        return None
    weights = {}
    for item in accept.lower().split(b","):
        name, _, parameters = item.partition(b";")
        weight = 1.0
        key, _, value = parameters.strip().partition(b"=")
        if key.strip() == b"q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        weights[name.strip()] = weight
    default = weights.get(b"*", 0.0)
    best, chosen = 0.0, None
    for name in encodings:
        weight = weights.get(name, default)
        if weight > best:
            best, chosen = weight, name
    if weights.get(b"identity", 0.0) > best:
        return None
    return chosen
