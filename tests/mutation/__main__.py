"""Print the mutation score of the policies: `.venv/bin/python -m tests.mutation [FOLDER ...]`.

FOLDER: only policies below policies/FOLDER. Exits 1 if a mutant survived.
"""

from __future__ import annotations

import sys

from tests.mutation import trial
from tests.support import opa


def main(folders: list[str]) -> int:
    found = trial.of(opa.binary(), opa.POLICIES)
    chosen = [each for each in found if not folders or each.path.split("/")[0] in folders]
    score = trial.run(opa.binary(), opa.POLICIES, chosen)
    print(score)
    return 1 if score.survivors or score.stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
