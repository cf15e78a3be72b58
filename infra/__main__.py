"""The Pulumi program: load config, build, export."""

import json
import os

import pulumi

from infra.config import load
from infra.program import build
from lockstep.errors import LockstepError

try:
    config = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    outputs = build(load(config, f"Pulumi.{pulumi.get_stack()}.yaml"))
except LockstepError as error:
    raise pulumi.RunError(str(error)) from None  # the message alone, without a traceback
for name, value in outputs.items():
    pulumi.export(name, value)
