"""Runs a command where neither DNS nor the KDC answers, nor says that it does not.

    unshare --map-root-user --net --mount dead_network.py KDC-PORT RESOLV.CONF COMMAND ...

In namespaces of its own: the name server of RESOLV.CONF and the KDC are sockets that nobody reads.
"""

import socket
import subprocess
import sys

port, resolv_conf, *command = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"], check=True)
silent = []
for address in (("127.0.0.53", 53), ("127.0.0.1", int(port))):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(address)
    silent += [udp, socket.create_server(address)]
sys.exit(subprocess.run(command).returncode)
