"""Servers that share the clients of one port: several processes on one machine."""
