# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The one switch: a device's two sockets, with vringd between them or the same socket twice.

A role says what vringd does on that side: where the VMM connects, vringd listens.
"""

import os

from .process import wait_for
from .tap import Skip
from .vringd import Vringd


class Device:
    """Where the VMM and where the backend of a device connect or listen."""

    def __init__(self, ident, vmm, backend):
        self.ident = ident
        self.vmm = vmm
        self.backend = backend


class Route:
    """
    All devices of a test. Say which with device(), then start(), then start the peers.

    With --direct there is no vringd and `vringd` is None.
    """

    def __init__(self, case, name='vringd'):
        self.case = case
        self.vringd = None if case.direct else Vringd(case, name)
        self.name = name

    def device(self, vm, device, kind, vmm='listen', backend='dial', activated=False,
               sections=None, **keys):
        """Declares a device; after start() it is added by reload()."""
        ident = '%s-%s' % (vm, device)
        if self.vringd is None:
            if (vmm, backend) not in (('listen', 'dial'), ('dial', 'listen')):
                raise Skip('both peers would %s' %
                           ('connect' if vmm == 'listen' else 'listen'))
            path = self.case.path('%s.%s' % (self.name, ident))
            return Device(ident, path, path)
        wanted = {name: dict(values) for name, values in (sections or {}).items()}
        paths = {}
        for section, side, role in (('VMM', 'vmm', vmm), ('Backend', 'backend', backend)):
            values = wanted.setdefault(section, {})
            values['Role'] = role
            if role == 'dial':
                paths[side] = self.case.path('%s.%s.%s' % (self.name, side, ident))
                values['Path'] = paths[side]
            elif activated:
                paths[side] = self.vringd.activate('%s.%s' % (side, ident))
            else:
                paths[side] = os.path.join(self.vringd.runtime, side, ident + '.sock')
        self.vringd.add(vm, device, kind, wanted, **keys)
        return Device(ident, paths['vmm'], paths['backend'])

    def start(self):
        if self.vringd is not None:
            self.vringd.start()
        return self

    def reload(self):
        if self.vringd is not None:
            self.vringd.reload()

    def wait_backend(self, device):
        """Waits until vringd knows what the device's backend offers."""
        if self.vringd is not None:
            wait_for('the offer of the backend of %s' % device.ident,
                     lambda: self.vringd.device(device.ident)['BackendOffered'] != 0, 15, 0.05)

    def expect_clean(self):
        if self.vringd is not None:
            self.vringd.expect_clean()
