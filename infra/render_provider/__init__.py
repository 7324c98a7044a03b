"""A substitute for Pulumi's Kubernetes provider that renders manifests, and does nothing else.

It speaks the engine's protocol (pulumirpc.ResourceProvider) and writes the same files and the same
state as the official plugin, so either takes over from the other. docs/develop/render-provider.md
says when it is used. One file a concern:

    wire.py      the engine's property encoding <-> plain Python
    objects.py   names of a Kubernetes object, its shape in the state, what is not rendered
    normal.py    the form in which the official plugin keeps an object
    manifests.py YAML and file names
    server.py    the gRPC service; knows all of the above
"""
