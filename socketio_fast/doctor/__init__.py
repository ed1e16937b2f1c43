"""What stands between a client and a server: ``socketio-fast doctor``."""

from socketio_fast.doctor.examination import examine
from socketio_fast.doctor.findings import Finding, Remedy, problems_of
from socketio_fast.doctor.rendering import as_json, as_text
from socketio_fast.doctor.target import Target

__all__ = [
    "Finding",
    "Remedy",
    "Target",
    "as_json",
    "as_text",
    "examine",
    "problems_of",
]
