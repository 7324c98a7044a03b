"""The Pulumi program: every Kubernetes object of every stack, from typed Python."""
