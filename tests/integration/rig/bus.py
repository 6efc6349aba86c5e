# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private system bus, and calls on it."""

import ctypes
import json
import os

from .process import Failure, Process, run, wait_path

NAME = 'org.vringd1'
ROOT = '/org/vringd1'

POLICY = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
</busconfig>
'''


class Bus(Process):
    """dbus-daemon with the rules of a system bus, where everyone may do everything."""

    def __init__(self, case, name='bus'):
        path = case.path(name + '.sock')
        config = case.path(name + '.conf')
        with open(config, 'w') as file:
            file.write(POLICY % path)
        self.address = 'unix:path=' + path
        super().__init__(name, ['dbus-daemon', '--nofork', '--nopidfile', '--nosyslog',
                                '--config-file=' + config])
        case.keep(self)
        wait_path(path, self)

    def call(self, path, interface, method, signature='', *arguments):
        """Calls a method of vringd and returns its answer's values as a list."""
        answer = run(['busctl', '--address=' + self.address, '--json=short', 'call', NAME,
                      path, interface, method] + ([signature] if signature else []) +
                     list(arguments))
        return json.loads(answer)['data'] if answer.strip() else []

    def has_vringd(self):
        """Whether vringd owns its name."""
        answer = run(['busctl', '--address=' + self.address, '--json=short', 'call',
                      'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                      'NameHasOwner', 's', NAME])
        return json.loads(answer)['data'][0]

    def properties(self, path, interface):
        """All properties of an interface as a dict of plain values."""
        values = self.call(path, 'org.freedesktop.DBus.Properties', 'GetAll', 's',
                           NAME + '.' + interface)[0]
        return {name: value['data'] for name, value in values.items()}

    def open_log(self, vm):
        """VM.OpenLog: (descriptor, bytes, page size, generation); close the descriptor."""
        return _open_log(self.address, vm)


def _library():
    lib = ctypes.CDLL('libsystemd.so.0')
    for function in (lib.sd_bus_message_unref, lib.sd_bus_flush_close_unref):
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_void_p
    return lib


def _open_log(address, vm):
    # busctl cannot hand a descriptor on, so this one call is made by libsystemd itself.
    lib = _library()
    bus, answer = ctypes.c_void_p(), ctypes.c_void_p()

    def check(result, what):
        if result < 0:
            raise Failure('OpenLog of %s: %s: %s' % (vm, what, os.strerror(-result)))

    check(lib.sd_bus_new(ctypes.byref(bus)), 'bus')
    try:
        check(lib.sd_bus_set_address(bus, address.encode()), 'address')
        check(lib.sd_bus_set_bus_client(bus, 1), 'client')
        check(lib.sd_bus_negotiate_fds(bus, 1), 'descriptors')
        check(lib.sd_bus_start(bus), 'start')
        check(lib.sd_bus_call_method(bus, NAME.encode(), vm.encode(),
                                     (NAME + '.VM').encode(), b'OpenLog', None,
                                     ctypes.byref(answer), ctypes.c_char_p(None)), 'call')
        descriptor = ctypes.c_int(-1)
        numbers = [ctypes.c_uint64() for _ in range(3)]
        check(lib.sd_bus_message_read(answer, b'httt', ctypes.byref(descriptor),
                                      *[ctypes.byref(number) for number in numbers]), 'read')
        return (os.dup(descriptor.value),) + tuple(number.value for number in numbers)
    finally:
        lib.sd_bus_message_unref(answer)
        lib.sd_bus_flush_close_unref(bus)
