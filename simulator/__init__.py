"""Simulated third parties: a payment provider, the Library and the Game Catalog.

One process, in memory. Its faults can be scripted over /control.
"""
