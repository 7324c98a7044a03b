"""A local Kubernetes with the stack `local` on it: `make cluster`, `make cluster-down`.

Where kind and a Docker engine are, kind makes it. Elsewhere its parts run in Linux namespaces of
their own: a control plane, and nodes with kubelet, containerd and kube-proxy.
"""
