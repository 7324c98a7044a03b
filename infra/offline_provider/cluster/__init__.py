"""Cluster mode: a target that is a Kubernetes API.

api.py         requests and their failures; the only import of the `kubernetes` package
discovery.py   kinds and their paths
words.py       what a refusal of the API server means, and what to do about it
readiness.py   when an object of which kind works
reasons.py     why one does not
waiting.py     waits for it, until a deadline or the engine's Cancel
target.py      applies, reads and removes objects; knows all of the above
"""
