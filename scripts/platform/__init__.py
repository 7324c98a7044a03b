"""The whole platform on this machine: its servers and processes, and what shows them."""
