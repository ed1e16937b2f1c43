from typing import final

from typing_extensions import disjoint_base

from socketio_fast._core.http.exchange import Exchange
from socketio_fast._core.http.request_parser import RequestReceiver

@disjoint_base
class HttpConnection(RequestReceiver): ...

@final
class Http1Exchange(Exchange): ...
