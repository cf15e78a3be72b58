"""The Pulumi program: load config, build, export."""

import json
import os

import pulumi

from infra.config import load
from infra.program import build

for name, value in build(load(json.loads(os.environ.get("PULUMI_CONFIG", "{}")))).items():
    pulumi.export(name, value)
