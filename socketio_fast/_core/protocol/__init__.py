"""Bytes and values: packets, frames, JSON, attachments. No time, no sockets."""
