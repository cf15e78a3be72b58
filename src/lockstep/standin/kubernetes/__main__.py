"""What the engine starts: `python <this folder> <engine address>`. Serves until the engine ends it."""

import sys
from pathlib import Path

# The folder of this file comes first on the path; its modules must not shadow anybody's.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]


def make() -> "KubernetesStandIn":
    from importlib import metadata

    from lockstep.standin.kubernetes.plugin import KubernetesStandIn
    from lockstep.standin.project import state_folder

    engine = sys.argv[1] if len(sys.argv) > 1 else None
    return KubernetesStandIn(state_folder(), engine, metadata.version("pulumi-kubernetes"))


if __name__ == "__main__":
    from typing import TYPE_CHECKING

    from lockstep.standin.server import serve

    if TYPE_CHECKING:
        from lockstep.standin.kubernetes.plugin import KubernetesStandIn

    serve(make)
