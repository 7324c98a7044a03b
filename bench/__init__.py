"""How fast the service is: ratios measured in alternating rounds. Run it with `make bench`.

Payments a second depend on the machine; a ratio within a round does not. What is measured beside
the service: pgbench with the service's two statements (one by one, in batches, and as ordinary
statements), a bare aiohttp handler, and two peers (bench/peers) that do the same work.
"""
