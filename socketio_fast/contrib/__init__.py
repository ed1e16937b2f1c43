"""Servers beside other projects: Prometheus and OpenTelemetry."""
