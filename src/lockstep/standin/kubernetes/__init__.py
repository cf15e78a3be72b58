"""A stand-in for Pulumi's `kubernetes` provider, in front of a real kube-apiserver.

The apiserver is the judge: each object goes to it by server-side apply with strict field validation, in a
preview as a dry run. What has no controller here is played in the one way that an order of deletion depends
on: `controllers` says what would never end. Where no apiserver is at hand objects are held against the
types of the SDK alone, and a warning names each.
"""
