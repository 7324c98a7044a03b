"""The HTTP API: a file a resource, with its routes, bodies and handlers."""
