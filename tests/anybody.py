"""Run the command line as anybody: without root's right to write where the permissions say no.

python tests/anybody.py convert …
"""

import ctypes
import os

from lstm_convert import cli

_VERSION_3 = 0x20080522  # of capset(2): two words for each of the three sets

if __name__ == "__main__":
    if os.geteuid() == 0:
        none = (ctypes.c_uint32 * 6)()
        if ctypes.CDLL(None, use_errno=True).capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), none) != 0:
            raise OSError(ctypes.get_errno(), "root's rights could not be put off")
    cli.main()
