"""Fixtures of the tests that talk with the offline provider about a real cluster."""

import os
from collections.abc import Iterator

import pytest

from tests.support.kubernetes import Cluster
from tests.support.provider import EXECUTABLE, Provider, started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """Give a namespace of this test alone."""
    return cluster.namespace()


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run a provider that can't find the cluster of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("plugins")
    environ = {**os.environ, "KUBECONFIG": str(folder / "there-is-none")}
    with started(folder / EXECUTABLE.name, environ) as provider:
        yield provider


@pytest.fixture
def provider(process: Provider, cluster: Cluster, namespace: str) -> Provider:
    """Give the provider, configured for the test's namespace; it has said nothing yet."""
    process.configure(
        kubeconfig=str(cluster.kubeconfig), namespace=namespace, enableConfigMapMutable="true"
    )
    process.engine.said.clear()
    return process
