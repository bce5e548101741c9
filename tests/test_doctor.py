"""Ways to break a set-up for real. For each the doctor names that fault and no other, the log of the
request that fails names its reason, and what the doctor says to type repairs it, typed as it stands."""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sites
from faults import (
    NOBODY,
    Fault,
    clock_ahead,
    damaged_keytab,
    empty_keytab,
    no_keytab,
    set_the_clock,
    walk_through,
)
from helpers import NTLM, negotiate, spnego
from machine import (
    Machine,
    administered_realm,
    as_a_user,
    name_of_host,
    need_user_namespaces,
)
from silence import Silence

from negotiate_wsgi import doctor
from negotiate_wsgi.doctor.run import gather

CHECKS = sorted(gather(), key=lambda check: check.id)


@pytest.fixture(scope="module")
def realm():
    with administered_realm(hosts=()) as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path, request):
    # A host of its own for each test: all share the KDC, and the clients' credential caches.
    host = name_of_host(request.node.name)
    return Machine(realm, tmp_path / "machine", f"{host}.test")


def keytab_without_keys(machine):
    machine.keytab.write_bytes(b"\x05\x02")


def keytab_cut_off(machine):
    machine.keytab.write_bytes(machine.keytab.read_bytes()[:20])


def unreadable_keytab(machine):
    machine.keytab.chmod(0)
    machine.prefix = as_a_user()


def keytab_in_a_closed_directory(machine):
    inner = machine.directory / "secret"
    inner.mkdir()
    machine.environ["KRB5_KTNAME"] = shutil.move(machine.keytab, inner)
    inner.chmod(0o600)
    machine.prefix = as_a_user()


def keytab_open_to_all(machine):
    machine.keytab.chmod(0o644)


def directory_open_to_all(machine):
    machine.directory.chmod(0o777)


def with_members(machine, *names):
    """Give the group of the machine's files the members *names*, as far as its programs know."""
    gid = os.getegid()
    if gid == 0:  # whose members are as good as root
        gid = 4710
        os.chown(machine.directory, -1, gid)
        os.chown(machine.keytab, -1, gid)
    passwd, group = machine.directory / "passwd", machine.directory / "group"
    users = {"server": os.geteuid(), "mallory": 4711}
    passwd.write_text("".join(f"{n}:x:{i}:{i}::/:/bin/sh\n" for n, i in users.items()))
    group.write_text(f"server:x:{gid}:{','.join(names)}\n")
    machine.environ["NSS_WRAPPER_PASSWD"] = str(passwd)
    machine.environ["NSS_WRAPPER_GROUP"] = str(group)


def keytab_open_to_its_group(machine):
    with_members(machine, "mallory")
    machine.keytab.chmod(0o660)


def directory_open_to_its_group(machine):
    with_members(machine, "server", "mallory")
    machine.directory.chmod(0o770)


def link_into_an_open_directory(machine):
    """Of the names in the keytab's path, no directory is open."""
    place = machine.directory / "open"
    place.mkdir()
    shutil.move(machine.keytab, place / "keytab")
    machine.keytab.symlink_to("link")
    (machine.directory / "link").symlink_to(place / "keytab")
    place.chmod(0o777)


def keytab_of_somebody_else(machine):
    """Who may not write to it: but the owner of a directory may well replace it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    inner = machine.directory / "of-mallory"
    inner.mkdir(mode=0o755)
    machine.environ["KRB5_KTNAME"] = shutil.move(machine.keytab, inner)
    os.chown(inner, 4711, 4711)


def keytab_in_a_private_directory_of_somebody_else(machine):
    closed = machine.directory / "private"
    closed.mkdir()
    machine.environ["KRB5_KTNAME"] = shutil.move(machine.keytab, closed)
    if os.geteuid() != 0:
        machine.environ["KRB5_KTNAME"] = "/root/keytab"
        return {
            "repair": lambda machine: machine.environ.update(
                KRB5_KTNAME=str(closed / "keytab")
            )
        }
    closed.chmod(0o700)
    os.chown(closed, 4711, 4711)
    machine.prefix = as_a_user()

    def give_back(machine):
        os.chown(closed, 0, 0)

    return {"repair": give_back}


def other_service(machine):
    machine.keytab.unlink()
    machine.realm.add_service(f"host/{machine.host}", machine.keytab)


def other_host(machine):
    machine.keytab.unlink()
    machine.realm.add_service(f"HTTP/www-{machine.host}", machine.keytab)


def other_case(machine):
    machine.keytab.unlink()
    machine.realm.add_service(f"HTTP/{machine.host.upper()}", machine.keytab)


def other_case_of_the_service(machine):
    machine.keytab.unlink()
    machine.realm.add_service(f"http/{machine.host}", machine.keytab)


def stale_keytab(machine):
    machine.realm.kadmin("cpw", "-randkey", machine.spn)


def kdc_from_a_backup(machine):
    """Its key is older than the keytab's."""
    machine.realm.kadmin("modprinc", "-kvno", "5", machine.spn)
    machine.keytab.unlink()
    machine.realm.kadmin("ktadd", "-k", str(machine.keytab), machine.spn)
    machine.realm.kadmin("cpw", "-randkey", machine.spn)
    machine.realm.kadmin("modprinc", "-kvno", "3", machine.spn)


def account_made_anew(machine):
    """The key has the same number, and is another one."""
    machine.realm.kadmin("delprinc", "-force", machine.spn)
    machine.realm.kadmin("addprinc", "-randkey", machine.spn)


def account_deleted(machine):
    machine.realm.kadmin("delprinc", "-force", machine.spn)


def merged_keytab(machine):
    """With the key that an account of the same name had before."""
    before = machine.directory / "before"
    machine.keytab.rename(before)
    account_made_anew(machine)
    machine.realm.kadmin("ktadd", "-k", str(machine.keytab), "-norandkey", machine.spn)
    machine.ktutil(
        f"rkt {before}", f"rkt {machine.keytab}", f"wkt {machine.directory}/both"
    )
    (machine.directory / "both").rename(machine.keytab)


def with_enctypes(machine, *enctypes):
    machine.keytab.unlink()
    machine.realm.kadmin("delprinc", "-force", machine.spn)
    keysalts = ",".join(f"{enctype}:normal" for enctype in enctypes)
    machine.realm.kadmin("addprinc", "-randkey", "-e", keysalts, machine.spn)
    machine.realm.kadmin("ktadd", "-k", str(machine.keytab), "-norandkey", machine.spn)


def rc4_only(machine):
    with_enctypes(machine, "aes256-cts", "arcfour-hmac")
    machine.ktutil(f"rkt {machine.keytab}", "delent 1", f"wkt {machine.keytab}.new")
    shutil.move(f"{machine.keytab}.new", machine.keytab)


def rc4_beside(machine):
    with_enctypes(machine, "aes256-cts", "arcfour-hmac", "aes128-cts")


def aes256_missing(machine):
    with_enctypes(machine, "aes256-cts", "aes128-cts")
    machine.ktutil(f"rkt {machine.keytab}", "delent 1", f"wkt {machine.keytab}.new")
    shutil.move(f"{machine.keytab}.new", machine.keytab)


def edit_krb5_conf(machine, pattern, replacement):
    text = machine.krb5_conf.read_text()
    changed = re.sub(pattern, replacement, text)
    assert changed != text
    machine.krb5_conf.write_text(changed)
    return text


def enctype_excluded(machine):
    text = edit_krb5_conf(
        machine,
        r"\[libdefaults\]\n",
        "[libdefaults]\n\tpermitted_enctypes = aes128-cts\n",
    )
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def no_krb5_conf(machine):
    text = machine.krb5_conf.read_text()
    machine.krb5_conf.unlink()
    return {"then": lambda: machine.krb5_conf.write_text(text)}


def no_default_realm(machine):
    edit_krb5_conf(machine, r"\tdefault_realm = .*\n", "")


def broken_krb5_conf(machine):
    text = edit_krb5_conf(machine, r"\[realms\]", "[realms")
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def clock_behind(machine):
    machine.prefix = ["faketime", "-f", "-10m"]


def kdc_down(machine):
    machine.realm.stop_kdc()
    return {"repair": lambda machine: machine.realm.start_kdc()}


def kdc_at_another_port(machine):
    text = edit_krb5_conf(
        machine, r"kdc = 127\S*", f"kdc = 127.0.0.1:{sites.free_port()}"
    )
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def kdc_that_is_silent(machine):
    silence = Silence()
    text = edit_krb5_conf(machine, r"kdc = 127\S*", f"kdc = 127.0.0.1:{silence.port}")

    def restore(machine):
        machine.krb5_conf.write_text(text)
        silence.close()

    return {"repair": restore}


def other_default_realm(machine):
    """Without [domain_realm], so that the keytab's realm is one that this machine cannot find."""
    text = edit_krb5_conf(machine, r"(?s)\[realms\].*", "[realms]\n")
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def unknown_host(machine):
    machine.hosts.write_text("")
    return {
        "repair": lambda machine: machine.hosts.write_text(
            f"127.0.0.2 {machine.host}\n"
        )
    }


def reverse_name_differs(machine):
    machine.hosts.write_text(
        f"127.0.0.2 node-{machine.host}\n127.0.0.2 {machine.host}\n"
    )
    machine.realm.kadmin("addprinc", "-randkey", f"HTTP/node-{machine.host}")
    return {"authorization": machine.ticket(f"HTTP/node-{machine.host}")}


def alias_of_another_name(machine):
    machine.hosts.write_text(f"127.0.0.2 node-{machine.host} {machine.host}\n")
    machine.realm.kadmin("addprinc", "-randkey", f"HTTP/node-{machine.host}")
    return {"authorization": machine.ticket(f"HTTP/node-{machine.host}")}


def no_replay_cache_directory(machine):
    shutil.rmtree(machine.rcache)


def read_only_replay_cache(machine):
    # A user who has written it before may go on.
    for cache in machine.rcache.iterdir():
        cache.unlink()
    machine.rcache.chmod(0o500)
    machine.prefix = as_a_user()


def replay_cache_that_is_a_link(machine):
    cache = machine.rcache / f"krb5_{os.geteuid()}.rcache2"
    cache.unlink(missing_ok=True)
    cache.symlink_to("/no/such/place")


def replay_cache_off(machine):
    machine.environ["KRB5RCACHENAME"] = "none:"


def replay_cache_off_by_its_type(machine):
    machine.environ["KRB5RCACHETYPE"] = "none"


def replay_cache_off_in_krb5_conf(machine):
    included = machine.directory / "included.conf"
    included.write_text("[libdefaults]\n\tdefault_rcache_name = none:\n")
    machine.krb5_conf.write_text(f"include {included}\n{machine.krb5_conf.read_text()}")


def replay_cache_of_no_type(machine):
    machine.environ["KRB5RCACHENAME"] = "FILE:/var/tmp/rcache"


def replay_cache_in_a_file_that_cannot_be(machine):
    machine.environ["KRB5RCACHENAME"] = f"file2:{machine.directory}/no-such/rcache"


def replay_cache_in_no_temporary_directory(machine):
    del machine.environ["KRB5RCACHEDIR"]
    machine.environ["TMPDIR"] = str(machine.directory / "no-such")


def many_keys(machine):
    """The same two, over and over: 34."""
    content = machine.keytab.read_bytes()
    machine.keytab.write_bytes(content[:2] + content[2:] * 17)

    def use_the_other(machine):
        machine.environ["NEGOTIATE_ACCEPTOR"] = "gssapi"

    return {"repair": use_the_other}


def ntlm_plugin(machine):
    machine.environ["GSS_MECH_CONFIG"] = "/etc/gss/mech.d/mech.ntlmssp.conf"
    return {"authorization": negotiate(spnego(NTLM))}


def two_bindings(machine):
    """As far as the list of installed packages goes."""
    information = machine.directory / "kerberos-1.3.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: kerberos\nVersion: 1.3.1\n")
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    return {"repair": lambda machine: shutil.rmtree(information)}


FAULTS = [
    Fault(no_keytab, "NW005", "There is no keytab", "keytab-unusable"),
    Fault(empty_keytab, "NW005", "empty or damaged", "keytab-unusable"),
    Fault(keytab_without_keys, "NW005", "no keys in it", "keytab-unusable"),
    Fault(damaged_keytab, "NW005", "empty or damaged", "keytab-unusable"),
    Fault(keytab_cut_off, "NW005", "empty or damaged", "keytab-unusable"),
    Fault(unreadable_keytab, "NW005", "cannot be read by uid", "keytab-unusable"),
    Fault(keytab_in_a_closed_directory, "NW005", "may not enter", "keytab-unusable"),
    Fault(keytab_open_to_all, "NW006", "open to every user", "accepted"),
    Fault(directory_open_to_all, "NW006", "Every user .* by way of", "accepted"),
    Fault(
        keytab_open_to_its_group, "NW006", "group server can put another", "accepted"
    ),
    Fault(
        directory_open_to_its_group, "NW006", "group server .* by way of", "accepted"
    ),
    Fault(link_into_an_open_directory, "NW006", "by way of \\S+/open", "accepted"),
    Fault(
        keytab_of_somebody_else, "NW006", "user 4711, to whom it belongs", "accepted"
    ),
    Fault(
        keytab_in_a_private_directory_of_somebody_else,
        "NW005",
        "may not enter /",
        "keytab-unusable",
    ),
    Fault(
        other_service, "NW007", "no key for HTTP/.* but for host/", "keytab-unusable"
    ),
    Fault(other_host, "NW007", "but for HTTP/www-", "spn-not-in-keytab"),
    Fault(other_case, "NW007", "but for HTTP/[A-Z-]*OTHER-CASE", "spn-not-in-keytab"),
    Fault(other_case_of_the_service, "NW007", "but for http/", "keytab-unusable"),
    Fault(stale_keytab, "NW015", "kvno 2, .* newest is 1", "stale-keytab"),
    Fault(kdc_from_a_backup, "NW015", "kvno 3, .* newest is 6", "stale-ticket"),
    Fault(account_made_anew, "NW015", "another key for HTTP/", "wrong-key"),
    Fault(
        account_deleted,
        "NW015",
        "The KDC knows no HTTP/",
        "no-credentials",
        None,
        NOBODY,
    ),
    Fault(merged_keytab, "NW010", "Different keys with the same kvno", "accepted"),
    Fault(rc4_only, "NW008", "no AES key, only arcfour", "enctype-missing"),
    Fault(rc4_beside, "NW009", "Weak keys beside strong ones", "accepted"),
    Fault(aes256_missing, "NW015", "no key of aes256", "enctype-missing"),
    Fault(enctype_excluded, "NW016", "permitted_enctypes = aes128", "wrong-key"),
    Fault(no_krb5_conf, "NW003", "There is no ", "accepted"),
    Fault(no_default_realm, "NW003", "names no default realm", "accepted"),
    Fault(broken_krb5_conf, "NW003", "cannot be used by uid", "krb5-conf-unusable"),
    Fault(clock_ahead, "NW014", "6.. s ahead of", "clock-skew", set_the_clock),
    Fault(clock_behind, "NW014", "(5..|6..) s behind", "clock-skew", set_the_clock),
    Fault(kdc_down, "NW013", "Cannot contact any KDC", "no-credentials", None, NOBODY),
    Fault(
        kdc_at_another_port, "NW013", "Cannot contact", "no-credentials", None, NOBODY
    ),
    Fault(
        kdc_that_is_silent, "NW013", "no answer within", "no-credentials", None, NOBODY
    ),
    Fault(
        other_default_realm, "NW013", "Cannot find KDC", "no-credentials", None, NOBODY
    ),
    Fault(unknown_host, "NW011", "is not known here", "no-credentials", None, NOBODY),
    Fault(reverse_name_differs, "NW012", "becomes node-", "spn-not-in-keytab"),
    Fault(alias_of_another_name, "NW012", "becomes node-", "spn-not-in-keytab"),
    Fault(no_replay_cache_directory, "NW004", "no directory", "replay-cache-unusable"),
    Fault(
        read_only_replay_cache, "NW004", "cannot be written", "replay-cache-unusable"
    ),
    Fault(
        replay_cache_that_is_a_link, "NW004", "not a file of", "replay-cache-unusable"
    ),
    Fault(replay_cache_off, "NW004", "KRB5RCACHENAME is none:.*off", "accepted"),
    Fault(
        replay_cache_off_by_its_type,
        "NW004",
        "KRB5RCACHETYPE is none:.*off",
        "accepted",
    ),
    Fault(
        replay_cache_off_in_krb5_conf,
        "NW004",
        "included.conf is none:.*off",
        "accepted",
    ),
    Fault(
        replay_cache_of_no_type,
        "NW004",
        "is not a replay cache",
        "replay-cache-unusable",
    ),
    Fault(
        replay_cache_in_a_file_that_cannot_be,
        "NW004",
        "no directory",
        "replay-cache-unusable",
    ),
    Fault(
        replay_cache_in_no_temporary_directory,
        "NW004",
        "TMPDIR: .*no directory",
        "replay-cache-unusable",
    ),
    Fault(many_keys, "NW018", "34 keys, and pykerberos tries every one", "accepted"),
    Fault(ntlm_plugin, "NW002", "mech.ntlmssp.conf loads", "ntlm"),
    Fault(two_bindings, "NW001", "both installed", "accepted"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaking.__name__)
def test_fault(machine, fault):
    walk_through(machine, fault)


def test_a_private_directory_stays_private(machine):
    keytab_in_a_private_directory_of_somebody_else(machine)
    [finding] = machine.doctor()
    place = machine.environ["KRB5_KTNAME"]
    assert re.fullmatch(
        rf"install -m 600 -o \S+ {place} /etc/http.keytab && rm {place}",
        finding["command"],
    )
    package = Path(doctor.__file__).parent
    assert all("a+x" not in module.read_text() for module in package.rglob("*.py"))


@pytest.mark.parametrize("mode", [0o660, 0o640, 0o600])
def test_a_group_of_nobody_else_may_do_as_it_likes(machine, mode):
    with_members(machine, "server")
    machine.keytab.chmod(mode)
    machine.directory.chmod(0o770)
    assert machine.doctor() == []


def test_to_root_the_owner_of_the_keytab_is_the_server(machine):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(machine.keytab, 4711, 4711)
    os.chown(machine.directory, 4711, 4711)
    assert machine.doctor() == []
    os.chown(machine.directory, 4712, 4712)
    [finding] = machine.doctor()
    assert "The user 4712, to whom it belongs" in finding["found"]


def test_dead_dns_and_a_dead_kdc(machine):
    """It says so, and ends: the libraries that it asks would wait for minutes."""
    need_user_namespaces()
    resolv_conf = machine.directory / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.53\n")
    machine.environ.pop("LD_PRELOAD")
    machine.prefix = [
        "unshare", "--map-root-user", "--net", "--mount", sys.executable,
        sites.TESTS / "dead_network.py", str(machine.realm.kdc_port), resolv_conf,
    ]  # fmt: skip
    dns, kdc = machine.doctor("--hostname", machine.host)
    assert (dns["id"], kdc["id"]) == ("NW011", "NW013")
    assert "DNS does not answer" in dns["found"]
    assert "no answer within" in kdc["found"]


def processor_time(machine, *command):
    """Of the fastest of three runs, in seconds."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = machine.run(*command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        )
    return min(times), done


def test_a_healthy_machine_is_told_so_in_no_time(machine):
    took, done = processor_time(machine, "negotiate-wsgi", "doctor")
    assert took < 20 * processor_time(machine, "negotiate-wsgi", "--help")[0]
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    told = [line.split()[:2] for line in lines]
    others = {
        *(f"NW{n:03}" for n in range(20, 27)),
        "NW030",
        *(f"NW{n:03}" for n in range(32, 45)),
    }
    always = [check.id for check in CHECKS if check.id not in others]
    assert sorted(told) == [["ok", id] for id in always]
    assert "\x1b" not in done.stdout


def test_in_words(machine):
    machine.keytab.chmod(0o644)
    done = machine.run("negotiate-wsgi", "doctor", "--hostname", "other.test")
    assert done.returncode == 2
    said = done.stdout
    assert re.search(
        r"^warning  NW006  keytab's privacy: .+\n {17}Close it.+\n {17}chmod ",
        said,
        re.M,
    )
    assert re.search(
        r"^problem  NW007  SPNs in the keytab: .+\n {17}Add .+\n {17}kadmin ",
        said,
        re.M,
    )
    machine.keytab.chmod(0o600)
    del machine.environ["NSS_WRAPPER_HOSTS"]
    assert (
        machine.run("negotiate-wsgi", "doctor", "--keytab", "/no/such").returncode == 2
    )


def test_colours_and_progress_are_for_terminals(machine, capfd):
    seen = machine.type("negotiate-wsgi doctor")
    assert "\x1b[32mok      \x1b[0m NW001" in seen
    assert "... asking the KDC of EXAMPLE.TEST" in seen
    machine.environ["NO_COLOR"] = "1"
    assert "\nok       NW001" in machine.type("negotiate-wsgi doctor").replace(
        "\x1b[K", "\n"
    )
    machine.environ["NO_COLOR"] = ""
    assert "\x1b[32mok      \x1b[0m NW001" in machine.type("negotiate-wsgi doctor")
    assert seen.count("... ") >= 4
    machine.type(f"negotiate-wsgi doctor 2>&1 | cat >{machine.directory}/said")
    assert "\x1b" not in (machine.directory / "said").read_text()


def test_it_shows_no_key_and_changes_nothing(machine):
    def state():
        files = (path for path in machine.directory.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files if "rcache2" not in path.name}

    machine.realm.kadmin("cpw", "-randkey", machine.spn)
    before = state()
    said = machine.run("negotiate-wsgi", "doctor").stdout
    said += machine.run("negotiate-wsgi", "doctor", "--json").stdout
    assert state() == before
    entries = subprocess.run(
        ["klist", "-kK", machine.keytab], capture_output=True, text=True, check=True
    ).stdout
    keys = re.findall(r"\(0x([0-9a-f]+)\)", entries)
    assert len(keys) == 2
    for key in keys:
        secret = bytes.fromhex(key)
        for text in (key, base64.b64encode(secret).decode(), repr(secret)[2:-1]):
            assert text[:16] not in said


ACCEPTORS = """
from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

of_another_host = GssapiAcceptor(hostname="another.test")
of_another_keytab = GssapiAcceptor(keytab="/no/such/keytab")
of_this_host = GssapiAcceptor()
by_pykerberos = PykerberosAcceptor()
not_one = PykerberosAcceptor
"""


def found_by(machine, check, *arguments):
    done = machine.run("negotiate-wsgi", "doctor", "--json", *arguments)
    [found] = [finding for finding in json.loads(done.stdout) if finding["id"] == check]
    return found


def test_the_acceptor_that_the_site_uses_is_tried(machine):
    (machine.directory / "acceptors.py").write_text(ACCEPTORS)
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    assert machine.doctor() == []
    assert "pykerberos 1." in found_by(machine, "NW001")["found"]
    for name in (
        "gssapi",
        " GSSAPI",
        "acceptors:of_this_host",
        "acceptors:by_pykerberos",
    ):
        assert machine.doctor("--acceptor", name) == []
    assert "gssapi 1." in found_by(machine, "NW001", "--acceptor", "gssapi")["found"]
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:of_another_host"
    [finding] = machine.doctor()
    assert finding["id"] == "NW016"
    assert "The acceptor accepts no ticket for HTTP/" in finding["found"]
    assert machine.doctor("--acceptor", "pykerberos") == []
    [finding] = machine.doctor("--acceptor", "acceptors:of_another_keytab")
    assert finding["id"] == "NW016"
    assert "the keytab /no/such/keytab does not exist" in finding["found"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kerberos", "write pykerberos, gssapi or package.module:name"),
        ("no_such_module:acceptor", "cannot be imported .*PYTHONPATH"),
        ("json:no_such_name", "cannot be imported"),
        ("json:loads", "is not an acceptor: it is function"),
        ("negotiate_wsgi:GssapiAcceptor", "is not an acceptor: it is"),
    ],
)
def test_an_acceptor_that_cannot_be_used(machine, name, says):
    [finding] = machine.doctor("--acceptor", name)
    assert (finding["id"], finding["status"]) == ("NW001", "problem")
    assert re.search(says, finding["found"])
    assert "--acceptor" in finding["remedy"]


def test_keys_that_are_many_are_none_of_gssapi_s_business(machine):
    many_keys(machine)
    (machine.directory / "acceptors.py").write_text(ACCEPTORS)
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    assert machine.doctor("--acceptor", "gssapi") == []
    assert machine.doctor("--acceptor", "acceptors:of_this_host") == []
    [finding] = machine.doctor("--acceptor", "acceptors:by_pykerberos")
    assert finding["id"] == "NW018"
    content = machine.keytab.read_bytes()
    machine.keytab.write_bytes(content[: 2 + (len(content) - 2) // 17 * 15])
    assert machine.doctor("--acceptor", "acceptors:by_pykerberos") == []


@pytest.mark.parametrize(
    ("missing", "acceptor", "extra"),
    [
        ("krb5", "pykerberos", "'negotiate-wsgi[doctor]'"),
        ("spnego", "pykerberos", "'negotiate-wsgi[doctor]'"),
        ("gssapi", "gssapi", "'negotiate-wsgi[gssapi]'"),
        ("kerberos", "pykerberos", "pykerberos"),
    ],
)
def test_what_is_missing_names_its_extra(machine, missing, acceptor, extra):
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from negotiate_wsgi.__main__ import main; "
        f"sys.exit(main(['doctor', '--acceptor', {acceptor!r}]))"
    )
    done = machine.run(sys.executable, "-P", "-c", program)
    assert done.returncode == 2
    assert re.search(
        rf"pip install (--\S+ )?{re.escape(extra)}", done.stdout + done.stderr
    )


def test_list_says_what_has_to_be_so():
    done = subprocess.run(
        [sites.BIN / "negotiate-wsgi", "doctor", "--list"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("NW001  binding: The acceptor in use can be loaded")
    assert len(lines) == len(CHECKS)
    for line, check in zip(lines, CHECKS, strict=True):
        assert re.fullmatch(rf"{check.id}  {re.escape(check.subject)}: [A-Z].+\.", line)


def test_checks_are_declared_once_and_in_an_order_that_can_be_followed():
    ids = [check.id for check in gather()]
    assert len(ids) == len(set(ids))
    seen = set()
    for check in gather():
        assert check.after <= seen, f"{check.id} comes before its premises"
        seen.add(check.id)


def test_in_the_throwaway_realm_too_what_it_says_is_to_be_typed(tmp_path):
    """As in the README: the keytab is broken on purpose, and repaired by what the doctor says."""
    script = """set -e
    negotiate-wsgi doctor >before
    KRB5_KTNAME=$PWD/wrong; export KRB5_KTNAME
    kadmin.local -q 'addprinc -randkey HTTP/other' && kadmin.local -q "ktadd -k $PWD/wrong HTTP/other"
    negotiate-wsgi doctor --hostname localhost >broken && exit 1
    bash -ec "$(grep -E '^ +\\S*kadmin' broken)"
    negotiate-wsgi doctor --hostname localhost >after
    """
    environ = {**os.environ, "PATH": f"{sites.BIN}:{os.environ['PATH']}:/usr/sbin"}
    command = ["negotiate-wsgi", "realm", "--", "bash", "-c", script]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "problem  NW007  SPNs in the keytab: The keytab has no key for HTTP/localhost, but for HTTP/other@"
        in (tmp_path / "broken").read_text()
    )
    for healthy in ("before", "after"):
        assert "problem" not in (tmp_path / healthy).read_text()


def test_mits_kdc_lets_no_account_act_for_users(machine):
    """With its usual database; the SPN is a client there, and so an account."""
    machine.realm.kadmin("addprinc", "-randkey", "HTTP/next.test")
    account = ["--delegation-account", machine.spn]
    [found] = machine.doctor(*account, "--delegate-to", "HTTP/next.test")
    assert found["id"] == "NW031"
    assert "krbAllowedToDelegateTo" in found["remedy"]
