"""The local target's parts: processes, ports, gateways and routes on one machine, all on loopback."""
