"""Stand-ins for the cloud: Pulumi providers that answer as the real ones would, without an account.

The committed Pulumi.yaml means the real providers. `project` writes a project folder beside it in which
the plugins `aws` and `kubernetes` are the ones in this package, so the real engine runs the real program
against them. What they promise:

- What the real provider would refuse is refused: unknown, missing and wrongly typed properties, in Check.
- What is not known before it exists is unknown in a preview; after an update it is a plausible value that
  is the same on every machine.
- Nothing leaves this machine, and every version string ends in `+standin`.

A provider is written on the base in four steps. `aws` is one, for example.

1. A class with the methods of `provider.StandIn`, over plain values: dict, list, str, int, float, bool,
   None and `wire.UNKNOWN`. Secrets arrive unwrapped; the engine wraps what it gets back. An error of ours
   (LockstepError) that a method raises is what the user reads; a bad property is a `provider.Failure`.
2. Where it remembers: `kept.Kept`, a file of lines that several plugin processes may share.
3. A folder with `PulumiPlugin.yaml` (`runtime: python`) and an `__main__.py` that takes its own folder
   from the path and calls `server.serve(lambda: YourProvider(...))`. What the class needs is imported in
   that function: the port is printed before it is called.
4. Its name in `project.PROVIDERS`.
"""
