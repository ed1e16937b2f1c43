# The WebSocket handshake: from an admitted HTTP request to a WebSocket.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.websocket cimport WebSocket


cpdef bytes websocket_key(Request request)
cpdef bytes subprotocol_line(Request request)
cdef Admission begin_handshake(
    Engine engine, Request request, Admission a, object environ_source
)
cdef WebSocket switch_protocols(
    Engine engine, Admission a, Writer writer, bytes received, Connections connections
)
