# SPDX-License-Identifier: LGPL-2.1-or-later
"""vringd with a root tree, a runtime directory and a bus of its own."""

import json
import os
import re
import signal
import socket
import sys
import threading

from . import bus as bus_module
from .process import Failure, Process, run, wait_for

VRINGD = os.environ.get('VRINGD', 'vringd')
VRINGCTL = os.environ.get('VRINGCTL', 'vringctl')

SANITIZER = re.compile(r'ERROR: (Address|Leak|UndefinedBehavior)Sanitizer|runtime error:')
# A large quarantine would look like a leak to the oracle.
SANITIZER_OPTIONS = {
    'ASAN_OPTIONS': 'quarantine_size_mb=1:malloc_context_size=10:detect_leaks=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1',
}


class Notify:
    """
    The socket that systemd would listen on for READY=1 (sd_notify(3)). Always read, as
    the service manager does: a full one would stop its sender.
    """

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.words = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                self.words += self.socket.recv(65536).decode().split('\n')
            except OSError:
                return

    def saw(self, word):
        """Whether `word` came since it was last asked for."""
        if word in self.words:
            del self.words[:self.words.index(word) + 1]
            return True
        return False

    def kill(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Vringd:
    """
    One vringd. Add devices, then start(); more devices may be added later with reload().

    activated: names of sockets ('vmm.web1-net0') that are made here and handed over
    """

    def __init__(self, case, name='vringd', activated=(), bus=None):
        self.case = case
        self.name = name
        self.root = case.path(name)
        self.runtime = case.path(name + '.run')
        self.devices_directory = os.path.join(self.root, 'etc/vringd/devices.d')
        os.makedirs(self.devices_directory)
        os.makedirs(self.runtime)
        self.activated = {}
        for one in activated:
            self.activate(one)
        self.bus = bus or bus_module.Bus(case, name + '.bus')
        self.process = None
        self.notify = None
        case.keep(self)

    def activate(self, name):
        """Makes a listening socket that start() hands over; returns its path."""
        path = self.case.path('%s.%s' % (self.name, name))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(16)
        self.activated[name] = (path, listener)
        return path

    def configure(self, text):
        """Writes vringd.conf."""
        with open(os.path.join(self.root, 'etc/vringd/vringd.conf'), 'w') as file:
            file.write(text)

    def add(self, vm, device, kind, sections=None, **keys):
        """
        Writes a device file and returns the device's id. Keys of [Device] are arguments,
        those of other sections come as {'VMM': {'Role': 'dial', ...}, ...}.
        """
        ident = '%s-%s' % (vm, device)
        wanted = {'Device': {'VM': vm, 'Name': device, 'Kind': kind, **keys}}
        for section, values in (sections or {}).items():
            wanted.setdefault(section, {}).update(values)
        text = ''.join('[%s]\n%s\n' % (section, ''.join('%s=%s\n' % pair
                                                        for pair in values.items()))
                       for section, values in wanted.items())
        temporary = os.path.join(self.devices_directory, '.' + ident)
        with open(temporary, 'w') as file:
            file.write(text)
        os.rename(temporary, os.path.join(self.devices_directory, ident + '.conf'))
        return ident

    def remove(self, ident):
        os.unlink(os.path.join(self.devices_directory, ident + '.conf'))

    def start(self):
        """Starts it and waits until it says that it is ready."""
        if self.notify is None:
            self.notify = self.case.keep(Notify(self.case.path(self.name + '.notify')))
        command = [VRINGD, '--root=' + self.root, '--runtime-directory=' + self.runtime]
        descriptors = [listener.fileno() for _, listener in self.activated.values()]
        if descriptors:
            wrapper = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'activate.py')
            command = [sys.executable, wrapper] + [
                '%s=%d' % (name, listener.fileno())
                for name, (_, listener) in self.activated.items()] + ['--'] + command
        self.process = Process(self.name, command, pass_fds=descriptors, env={
            'VRINGD_LOG': 'stderr', 'NOTIFY_SOCKET': self.notify.path,
            'DBUS_SYSTEM_BUS_ADDRESS': self.bus.address, **SANITIZER_OPTIONS})

        def ready():
            if not self.process.running():
                self.process.reader.join(2)
                raise Failure('vringd ended at start\n' + self.process.tail())
            return self.notify.saw('READY=1')
        wait_for('READY=1 of vringd', ready, 20)
        wait_for('the bus name of vringd', self.bus.has_vringd, 10, 0.05)
        return self

    @property
    def pid(self):
        return self.process.pid

    def reload(self):
        """SIGHUP; waits until exactly the devices with a file are known."""
        self.process.signal(signal.SIGHUP)
        wanted = {name[:-5] for name in os.listdir(self.devices_directory)
                  if name.endswith('.conf')}
        wait_for('devices %s' % sorted(wanted),
                 lambda: {row[2] for row in self.list_devices()} == wanted, 10, 0.05)

    def list_devices(self):
        return self.bus.call(bus_module.ROOT, 'org.vringd1.Manager', 'ListDevices')[0]

    def device_path(self, ident):
        return self.bus.call(bus_module.ROOT, 'org.vringd1.Manager', 'LookupDevice', 's',
                             ident)[0]

    def device(self, ident):
        """The properties of a device."""
        return self.bus.properties(self.device_path(ident), 'Device')

    def vm_path(self, name):
        return self.bus.call(bus_module.ROOT, 'org.vringd1.Manager', 'LookupVM', 's', name)[0]

    def vm(self, name):
        """The properties of a VM."""
        return self.bus.properties(self.vm_path(name), 'VM')

    def open_log(self, vm):
        return self.bus.open_log(self.vm_path(vm))

    def wait_state(self, ident, vmm=None, backend=None, timeout=15.0):
        """Waits until the links of a device are in these states."""
        def there():
            device = self.device(ident)
            return (vmm in (None, device['VMMState']) and
                    backend in (None, device['BackendState']))
        wait_for('%s with VMM %s, backend %s\n%s' % (ident, vmm, backend, self.tail()), there,
                 timeout, 0.05)

    def ctl(self, *words, check=True):
        """Runs vringctl and returns what it prints."""
        return run([VRINGCTL] + list(words), check=check, env={
            'DBUS_SYSTEM_BUS_ADDRESS': self.bus.address, **SANITIZER_OPTIONS})

    def ctl_json(self, *words):
        return json.loads(self.ctl('--json', *words))

    def tail(self, count=25):
        return self.process.tail(count) if self.process else ''

    def expect_clean(self):
        """Fails if a sanitizer found something."""
        found = self.process.find(SANITIZER.pattern)
        if found:
            raise Failure('sanitizer report\n' + self.process.tail(80))

    def stop(self):
        """SIGTERM; it has to end well, and soon. Also checks one that has ended itself."""
        if self.process.running():
            self.process.signal(signal.SIGTERM)
        status = self.process.join(15)
        self.expect_clean()
        if status != 0:
            raise Failure('vringd ended with status %d\n%s' % (status, self.tail(60)))

    def finish(self):
        """A case that passed so far still fails when its vringd ends badly."""
        if self.process is not None:
            self.stop()

    def kill(self):
        if self.process is not None:
            self.process.kill()
        for _, listener in self.activated.values():
            listener.close()
