"""The dashboards as pictures: what Grafana would show, drawn from a real Prometheus.

- boards: what a dashboard's document says: panels, places, units, limits
- variables: what its variables stand at, as when Grafana has just opened the dashboard
- answers: what Prometheus answers to each panel
- drawing: the picture; canvas has the frames, and each kind of panel has its module
- png: a small file that says which document it shows
"""
