"""Serving: one verified release behind HTTP. Runs only code that lies in the release bundle.

Imports the standard library, packages of the release's lock file, and `lockstep.errors`,
`lockstep.serving` and `lockstep.release.bundle`, because nothing else is in a bundle.

A service's `service.py` needs four names from here: the settings, and the specs of what goes in and out.
"""
