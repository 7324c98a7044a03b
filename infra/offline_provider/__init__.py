"""A stand-in for Pulumi's Kubernetes provider where its plugin can't be had.

It speaks the engine's own protocol (pulumirpc.ResourceProvider) and, in render mode, writes the
same files and leaves the same state as the official plugin, so that the two can take turns. One
file a concern:

    wire.py       the engine's property encoding <-> plain Python
    objects.py    what a Kubernetes object is called, and its normal form
    state.py      the shape of an object in Pulumi's state
    diff.py       what differs, property by property
    immutable.py  which of those differences Kubernetes would refuse
    settings.py   the provider's own configuration
    manifests.py  YAML and file names
    render.py     a target that is a folder
    server.py     the gRPC service; knows all of the above and no YAML
"""
