"""A KDC that says nothing."""

import socket

from negotiate_wsgi.realm.realm import _free_port


class Silence:
    """A KDC that hears, and does not answer: by UDP and by TCP."""

    def __init__(self):
        self.port = _free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._udp.setblocking(False)
        self._tcp = socket.create_server(("127.0.0.1", self.port), backlog=100)

    def was_asked(self):
        try:
            return bool(self._udp.recv(1 << 16))
        except BlockingIOError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Who has asked by now is told that nobody is there, and soon gives up."""
        self._udp.close()
        self._tcp.close()
