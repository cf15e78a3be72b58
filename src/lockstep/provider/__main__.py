"""What the engine starts: `python <this folder> <engine address>`. Serves until the engine ends it."""

import sys
from pathlib import Path

# The folder of this file comes first on the path; its modules must not shadow anybody's.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

if __name__ == "__main__":
    from lockstep.provider.plugin import serve

    serve(sys.argv[1:])
