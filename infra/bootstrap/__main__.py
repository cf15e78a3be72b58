"""The program that runs once for an account: read its settings, declare, export."""

import pulumi

from infra.bootstrap.account import account

config = pulumi.Config()
settings = (config.require("region"), config.get("copies_for") or "", config.get("copy_bucket") or "")
for name, value in account(*settings).items():
    pulumi.export(name, value)
