"""How fast the service is: ratios measured in alternating rounds. Run it with `make bench`.

Payments a second depend on the machine; a ratio within a round does not. pgbench runs the service's
two statements, prepared, with 16 clients. Every inequality favors it: no HTTP, no token, no log,
no provider.
"""
