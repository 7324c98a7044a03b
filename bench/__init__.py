"""How fast the service is: ratios measured in alternating rounds. Run it with `make bench`.

Payments a second say more about the machine than about the service; a ratio within a round stays
when both sides lose half of it. pgbench runs the service's two statements, prepared, with 16
clients. Whatever is unequal is in its favour: no HTTP, no token, no log, no provider.
"""
