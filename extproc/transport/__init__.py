"""Transports: how gRPC streams reach the service. Each offers the same interface, ``base.Transport``."""
