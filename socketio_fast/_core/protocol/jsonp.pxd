# HTTP long-polling by JSONP, for browsers that can do no better.

cdef bytes script_head(str index)
cdef bytes script(bytes head, bytes payload)
cdef bytes form_payload(bytes form)
