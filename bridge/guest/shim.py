"""Entry of the guest: the process in which a plugin runs.

Old interpreters must be able to read this file, so that they can be told what
is wrong; the package beside it needs Python 3.9.
"""
import sys

if sys.version_info < (3, 9):
    sys.exit("casparian guest: Python 3.9 or later is needed, this is " + sys.version.split()[0])

# Python puts this file's folder in front of everything. The plugin must not see
# it: its modules are not the plugin's.
_folder = sys.path[0]
from casparian_guest import session  # noqa: E402

sys.path[:] = [entry for entry in sys.path if entry != _folder]

if __name__ == "__main__":
    sys.exit(session.main())
