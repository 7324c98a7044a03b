"""How fast the service is: ratios measured in alternating rounds. Run it with `make bench`."""
