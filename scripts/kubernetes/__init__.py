"""A Kubernetes control plane as processes of this machine, without images and without root."""
