"""A stand-in for Pulumi's Kubernetes provider where its plugin can't be had.

It speaks the engine's own protocol (pulumirpc.ResourceProvider) and leaves the same state as the
official plugin, so that the two can take turns. In render mode it writes the same files, in cluster
mode it applies objects on the API server's side.
docs/develop/render-provider.md says what it does not do.
One file a concern:

    wire.py       the engine's property encoding <-> plain Python
    objects.py    what a Kubernetes object is called, and its normal form
    state.py      the shape of an object in Pulumi's state
    diff.py       what differs, property by property
    immutable.py  which of those differences Kubernetes would refuse
    settings.py   the provider's own configuration
    kubeconfig.py which cluster is meant
    manifests.py  YAML and file names
    target.py     what the server asks of a place for objects
    render.py     a place that is a folder
    cluster/      a place that is a Kubernetes API
    engine_log.py words and failures for the engine's user
    server.py     the gRPC service; knows all of the above and no YAML
"""
