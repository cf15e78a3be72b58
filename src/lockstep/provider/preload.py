"""What the plugin imports in the course of every operation, before anybody waits for it.

The language host has an interpreter run this file while the program starts. It saves a tenth of a second of
each preview, and changes nothing else: what is missing here is imported when it is needed.
"""

import lockstep.audit.local
import lockstep.local.bucket_settings
import lockstep.local.drift
import lockstep.local.environments
import lockstep.local.look
import lockstep.provider.kinds
import lockstep.provider.plugin
import lockstep.release.bundle
import lockstep.toolchain.bin_folder  # noqa: F401
