"""The dashboards as pictures: what Grafana would show, drawn from a real Prometheus.

Grafana with its image renderer would be exact, but is a server and a browser. Real answers differ
each time, so a stale picture makes a test warn and not fail.

- boards: what a dashboard's document says: panels, places, units, limits
- variables: what its variables stand at, as when Grafana has just opened the dashboard
- answers: what Prometheus answers to each panel
- drawing: the picture; canvas has the frames, and each kind of panel has its module
- png: a small file that says which document it shows
"""
