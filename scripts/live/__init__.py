"""The whole service under a real Prometheus, with faults that make its alerts fire."""
