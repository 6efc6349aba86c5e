# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Hands sockets to a program as systemd does (sd_listen_fds(3)).

activate.py NAME=FD... -- COMMAND...
"""

import fcntl
import os
import sys


def main():
    end = sys.argv.index('--')
    names, sources = [], []
    for word in sys.argv[1:end]:
        name, number = word.rsplit('=', 1)
        names.append(name)
        # Out of the way first: a target number may be another one's source.
        sources.append(fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 3 + 2 * end))
        os.close(int(number))
    for target, source in enumerate(sources, 3):
        os.dup2(source, target)
    os.environ['LISTEN_PID'] = str(os.getpid())
    os.environ['LISTEN_FDS'] = str(len(names))
    os.environ['LISTEN_FDNAMES'] = ':'.join(names)
    command = sys.argv[end + 1:]
    os.execvp(command[0], command)


main()
