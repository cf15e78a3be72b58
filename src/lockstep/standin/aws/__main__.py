"""What the engine starts: `python <this folder> <engine address>`. Serves until the engine ends it."""

import sys
from pathlib import Path
from typing import Any

# The folder of this file comes first on the path; its modules must not shadow anybody's.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]


def make() -> Any:
    from lockstep.standin.aws.plugin import AwsStandIn
    from lockstep.standin.project import state_folder

    return AwsStandIn(state_folder(), alone=True)


if __name__ == "__main__":
    from lockstep.standin.server import serve

    serve(make)
