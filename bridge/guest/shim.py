"""Entry of the guest: the process in which a plugin runs.

Old interpreters must be able to read this file, so that they can be told what
is wrong; the package beside it needs Python 3.9.
"""
import os
import sys

if sys.version_info < (3, 9):
    sys.exit("casparian guest: Python 3.9 or later is needed, this is " + sys.version.split()[0])

# This file's folder is needed for one import, and hidden from the plugin then:
# nothing in it is the plugin's.
_folder = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_folder] + [entry for entry in sys.path if entry != _folder]
if sys.argv[1:2] == ["warm"]:
    # Before all that does something in a fork.
    from casparian_guest import pages  # noqa: E402, F401

from casparian_guest import session  # noqa: E402

if sys.argv[1:2] == ["warm"]:
    from casparian_guest import forkserver  # noqa: E402

del sys.path[0]

if __name__ == "__main__":
    if sys.argv[1:2] == ["warm"]:
        learned = sys.argv[2:]
        del sys.argv[1:]
        forkserver.main(learned)
    session.leave(session.main())
