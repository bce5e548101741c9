"""Where gssproxy holds the keys, the doctor neither asks for them nor advises against it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import wait_until
from machine import Machine, administered_realm, need_user_namespaces

PLUGIN = Path("/etc/gss/mech.d/proxymech.conf")
NTLM_PLUGIN = Path("/etc/gss/mech.d/mech.ntlmssp.conf")
CONFIGURATION = """[gssproxy]
[service/http]
  mechs = krb5
  socket = {socket}
  cred_store = keytab:{keytab}
  cred_store = ccache:FILE:{directory}/%U
  cred_usage = accept
  euid = {uid}
"""


@pytest.fixture(scope="module")
def realm():
    with administered_realm() as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path):
    machine = Machine(realm, tmp_path / "machine", "localhost")
    machine.environ["GSS_MECH_CONFIG"] = str(PLUGIN)
    return machine


@pytest.fixture
def proxied(machine):
    """A machine whose keytab only gssproxy can find."""
    directory = machine.directory / "gssproxy"
    directory.mkdir(mode=0o700)
    hidden = shutil.move(machine.keytab, directory / "keytab")
    socket = machine.directory / "socket"
    configuration = machine.directory / "gssproxy.conf"
    configuration.write_text(
        CONFIGURATION.format(
            socket=socket, keytab=hidden, directory=directory, uid=os.geteuid()
        )
    )  # fmt: skip
    command = [
        "/usr/sbin/gssproxy",
        "-i",
        "-s",
        directory / "default",
        "-c",
        configuration,
    ]
    with (machine.directory / "gssproxy.log").open("w") as log:
        gssproxy = subprocess.Popen(
            [*command, "-C", directory], env=machine.environ, stdout=log, stderr=log
        )
    wait_until(lambda: socket.exists() or gssproxy.poll() is not None)
    assert gssproxy.poll() is None, (machine.directory / "gssproxy.log").read_text()
    machine.environ |= {"GSS_USE_PROXY": "yes", "GSSPROXY_SOCKET": str(socket)}
    yield machine
    gssproxy.terminate()
    gssproxy.wait()


def test_a_server_that_may_not_read_the_keytab(proxied):
    """It signs on, and the doctor finds nothing to repair."""
    assert proxied.request(proxied.ticket())["reason"] == "accepted"
    assert proxied.doctor() == []
    passwords = ["--passwords", "EXAMPLE.TEST"]
    [finding] = proxied.doctor(*passwords)
    assert finding["id"] == "NW032"
    assert "write hostname=" in finding["found"]
    passwords += ["--hostname", "localhost", "--user", "alice"]
    assert proxied.doctor(*passwords) == []
    typed = proxied.type(f"negotiate-wsgi doctor {' '.join(passwords)}")
    assert "alice@EXAMPLE.TEST came in, and the KDC proved itself" in typed
    said = proxied.run("negotiate-wsgi", "doctor").stdout
    assert "NW005  keytab: gssproxy has it" in said
    assert f"NW017  gssproxy: answers at {proxied.directory}/socket" in said
    assert "chown" not in said
    del proxied.environ["GSS_USE_PROXY"]
    [finding] = proxied.doctor()
    assert finding["id"] == "NW005"
    assert "There is no keytab" in finding["found"]


def test_it_is_kept_out(proxied):
    """As by what the doctor says where nobody uses it."""
    proxied.environ["GSS_MECH_CONFIG"] = os.devnull
    assert proxied.request(proxied.ticket())["reason"] == "keytab-unusable"
    [finding] = proxied.doctor()
    assert finding["id"] == "NW017"
    assert "GSS_MECH_CONFIG=/dev/null keeps it out" in finding["found"]
    proxied.type(finding["command"])
    assert proxied.doctor() == []
    assert proxied.request(proxied.ticket())["reason"] == "accepted"


def test_beside_an_ntlm_plugin(proxied):
    both = proxied.directory / "both.conf"
    both.write_text(PLUGIN.read_text() + NTLM_PLUGIN.read_text())
    proxied.environ["GSS_MECH_CONFIG"] = str(both)
    [finding] = proxied.doctor()
    assert finding["id"] == "NW002"
    assert os.devnull not in finding["command"]
    proxied.type(finding["command"])
    assert proxied.doctor() == []
    assert proxied.request(proxied.ticket())["reason"] == "accepted"


@pytest.mark.parametrize("yes", ["1", "ON", "True", "yes"])
def test_it_does_not_run(machine, yes):
    machine.environ |= {
        "GSS_USE_PROXY": yes,
        "GSSPROXY_SOCKET": str(machine.directory / "no-such"),
    }
    [finding] = machine.doctor()
    assert (finding["id"], finding["command"]) == ("NW017", "systemctl start gssproxy")
    assert "No such file or directory" in finding["found"]


@pytest.mark.parametrize("no", ["", "0", "no", "false"])
def test_it_is_not_used(machine, no):
    """Though its plugin is there: then the keytab is looked at as ever."""
    machine.environ["GSS_USE_PROXY"] = no
    assert machine.doctor() == []
    said = machine.run("negotiate-wsgi", "doctor").stdout
    assert "NW017  gssproxy: not used" in said
    assert re.search(r"NW016  sign-on to ourselves: HTTP/localhost@\S+ came in", said)
    machine.keytab.chmod(0o644)
    [finding] = machine.doctor()
    assert finding["id"] == "NW006"


@pytest.mark.parametrize("user", ["1000", "1001"])
def test_its_configuration_names_this_user(machine, user):
    """Then what is forgotten is GSS_USE_PROXY, and the keytab is not for the server to read."""
    need_user_namespaces()
    configuration = machine.directory / "configuration"
    configuration.mkdir()
    (configuration / "http.conf").write_text(CONFIGURATION.format(
        socket="/run/http", keytab="/etc/http.keytab", directory="/run", uid=user
    ))  # fmt: skip
    machine.keytab.chmod(0)
    machine.prefix = [
        "unshare", "--map-root-user", "--mount", "sh", "-c",
        f"mount --bind {configuration} /etc/gssproxy && "
        'exec unshare --user --map-user=1000 --map-group=1000 "$@"', "sh",
    ]  # fmt: skip
    [finding] = machine.doctor()
    assert finding["id"] == "NW005"
    assert "cannot be read by uid 1000" in finding["found"]
    is_served = user == "1000"
    assert (finding["command"] == "export GSS_USE_PROXY=yes") == is_served
    assert ("chown" in finding["command"]) != is_served
