"""The Pulumi provider plugin `lockstep`: gate, receipt, and the local resources."""
