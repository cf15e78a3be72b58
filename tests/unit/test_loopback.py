"""The servers of the tests: a caller who says nothing holds up nobody else, nor their end."""

from __future__ import annotations

import socket

import pytest

from lockstep.aws.cluster import Cluster
from lockstep.aws.kubernetes import Kubernetes
from tests.support import kube


@pytest.mark.timeout(30)
def test_a_silent_caller_of_the_fake_cluster_holds_up_nobody() -> None:
    with kube.serving(kube.FakeCluster("here")) as fake:
        silent = socket.create_connection(("127.0.0.1", fake.port))
        entry = fake.entry
        api = Kubernetes(Cluster("here", entry["server"], entry["ca"], entry["token"]), timeout_s=5)
        assert api.objects("/apis/apps/v1/deployments") == []
        api.close()
    silent.close()
