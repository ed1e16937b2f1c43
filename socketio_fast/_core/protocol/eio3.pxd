# Engine.IO protocol, revision 3: payloads of HTTP long-polling, binary messages.

cdef const char *text_end(
    const char *p, const char *end, const char **packet
) except NULL
cdef const char *binary_end(
    const char *p, const char *end, const char **packet, bint *binary
) except NULL
cdef bytes decode_base64_message(const char *p, Py_ssize_t n)
cdef bytes decode_binary_message(bytes data)
cdef bytes text_payload(bytes head, bytes body, list attachments)
cdef bytes binary_payload(bytes head, bytes body, list attachments)
cdef bytes base64_message(bytes data)
