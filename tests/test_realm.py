"""Can I try it now? The throwaway realm: as a command, and in Python."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import processes_with, wait_until
from machine import need_user_namespaces
from sites import children

from negotiate_wsgi import ConfigurationError
from negotiate_wsgi.realm import Realm

CLEAN = {
    name: value for name, value in os.environ.items() if not name.startswith("KRB5")
}
COMMAND = [str(Path(sys.executable).parent / "negotiate-wsgi"), "realm"]


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *arguments],
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def start(*arguments):
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=CLEAN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, process.stderr.readline()


def directory_of(said):
    return Path(re.search(r"keytab (\S+)/keytab", said)[1])


def assert_nothing_is_left(directory):
    assert not directory.exists()
    assert processes_with(directory) == []


def test_runs_the_command_with_a_ticket_a_keytab_and_the_environment():
    done = run(
        "--realm", "OTHER.TEST", "--user", "carol", "--user", "dave", "--host", "www.other.test",
        "--host", "alias.test", "--", "sh", "-c", "klist; klist -k; env",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Default principal: carol@OTHER.TEST" in done.stdout
    assert "HTTP/www.other.test@OTHER.TEST" in done.stdout
    assert "HTTP/alias.test@OTHER.TEST" in done.stdout
    for name in ("KRB5_CONFIG", "KRB5_KTNAME", "KRB5CCNAME", "KRB5RCACHEDIR"):
        assert f"\n{name}=" in done.stdout
    assert_nothing_is_left(directory_of(done.stderr))


def test_says_in_two_lines_what_it_made_and_how_to_join():
    done = run("--", "true")
    first, second, rest = done.stderr.split("\n")
    assert first.startswith("Realm EXAMPLE.TEST: users alice, bob; keytab ")
    assert second.startswith("Another terminal joins it as alice with: . ")
    assert rest == ""


def test_another_terminal_joins():
    process, said = start("--", "sleep", "60")
    [join] = re.findall(r"with: \. (\S+)", process.stderr.readline())
    joined = subprocess.run(
        ["sh", "-c", f". {join}; klist -s && kvno -q HTTP/localhost && klist | head -2"],
        env=CLEAN, capture_output=True, text=True,
    )  # fmt: skip
    assert "alice@EXAMPLE.TEST" in joined.stdout, joined.stderr
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert_nothing_is_left(directory_of(said))


@pytest.mark.parametrize("code", [0, 7])
def test_hands_on_the_exit_code(code):
    assert run("--", "sh", "-c", f"exit {code}").returncode == code


def test_hands_on_death_by_a_signal():
    assert run("--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_no_such_command():
    done = run("--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command: No such file" in done.stderr
    assert_nothing_is_left(directory_of(done.stderr))


WAITS = [
    "echo up; exec sleep 60", "echo up; sleep 60; true", "echo up; sleep 60 & sleep 60 & wait",
    "trap '' HUP INT TERM; echo up; sleep 60; sleep 60",
]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", WAITS)
def test_leaves_nothing_behind_after_a_signal(number, command):
    process, said = start("--", "sh", "-c", command)
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode in (128 + number, 128 + signal.SIGKILL)
    assert_nothing_is_left(directory_of(said))


def test_sighup_ends_it_and_is_no_reload_for_the_command():
    process, said = start(
        "--", "sh", "-c", "trap 'echo reloaded' HUP; echo up; sleep 60 & wait"
    )
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGHUP)
    shown, _ = process.communicate(timeout=120)
    assert "reloaded" not in shown
    assert process.returncode == 128 + signal.SIGTERM
    assert_nothing_is_left(directory_of(said))


def test_under_nohup_it_goes_on_after_sighup():
    process = subprocess.Popen(
        ["nohup", *COMMAND, "--", "sh", "-c", "echo up; read line; echo went on"], env=CLEAN,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate("\n", timeout=120)[0] == "went on\n"
    assert process.returncode == 0


@pytest.mark.parametrize("command", WAITS)
def test_leaves_nothing_behind_after_sigkill(command):
    process, said = start("--", "sh", "-c", command)
    assert process.stdout.readline() == "up\n"
    assert (
        len(processes_with(directory_of(said))) >= 3
    )  # the KDC, its guardian, the command
    process.kill()
    process.communicate(timeout=120)
    wait_until(lambda: not directory_of(said).exists())
    wait_until(lambda: not processes_with(directory_of(said)))


def test_leaves_nothing_behind_after_the_terminal_is_closed():
    """The shell ignores SIGHUP, as a server does that takes it for "reload"."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(COMMAND[0], [*COMMAND, "--", "sh", "-c", WAITS[-1]], CLEAN)
    shown = b""
    while b"up\r\n" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGKILL
    assert_nothing_is_left(directory_of(shown.decode()))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_in_python_nothing_is_left_when_the_process_is_killed(number):
    script = (
        "import os, signal\n"
        "from negotiate_wsgi.realm import Realm\n"
        "with Realm(users=[]) as realm:\n"
        "    if os.fork() == 0: os.close(1), signal.pause()\n"
        "    print(realm.directory, flush=True)\n"
        "    signal.pause()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=CLEAN, stdout=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    directory = Path(process.stdout.readline().strip())
    assert directory.exists()
    os.killpg(process.pid, number)
    process.communicate()
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not processes_with(directory))


def test_in_python_a_forked_process_that_lives_on_does_not_keep_it():
    before = set(children(os.getpid()))
    with Realm(users=[]) as realm:
        forked = os.fork()
        if forked == 0:
            signal.pause()
    assert_nothing_is_left(realm.directory)
    os.kill(forked, signal.SIGKILL)
    os.waitpid(forked, 0)
    assert set(children(os.getpid())) == before


def test_a_signal_while_it_starts(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "--", "sleep", "60"], env={**CLEAN, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert processes_with(tmp_path) == []


def test_what_the_command_left_running_is_ended():
    done = run("--", "sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 3")
    assert done.returncode == 3
    assert_nothing_is_left(directory_of(done.stderr))


def in_a_terminal(typed, *arguments, **environ):
    """Types into a real terminal; returns what it showed and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(COMMAND[0], [*COMMAND, *arguments], {**CLEAN, **environ})
    shown = b""
    for expect, text in typed:
        while expect not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, text)
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_shell_with_job_control_where_no_command_is_given():
    typed = [
        (b"ready$ ", b"sh -c 'echo sleeps $((1 + 1)); exec sleep 50'\n"),
        (b"sleeps 2", b"\x03"),
        (b"^C", b"echo after $((40 + 2))\n"),
        (b"after 42", b"klist | head -2\n"),
        (
            b"alice@EXAMPLE.TEST",
            b"kinit -R; kvno -q HTTP/localhost && echo KDC $((1 + 1))\n",
        ),
        (b"KDC 2", b"exit 5\n"),
    ]
    shown, code = in_a_terminal(typed, SHELL="/bin/sh", PS1="ready$ ")
    assert code == 5
    assert_nothing_is_left(directory_of(shown))


def test_the_terminal_is_the_commands_before_its_program_starts():
    shown, _ = in_a_terminal([], "--", "cat", "/proc/self/stat")
    _, group, _, _, foreground = re.search(r"\(cat\) \S (.*)", shown)[1].split()[:5]
    assert foreground == group


def test_ctrl_c_reaches_the_command_and_neither_us_nor_the_kdc():
    script = "trap 'kvno -q HTTP/localhost && echo survived; exit 6' INT; echo up; while :; do sleep 0.1; done"
    shown, code = in_a_terminal([(b"up", b"\x03")], "--", "sh", "-c", script)
    assert "survived" in shown
    assert code == 6
    assert_nothing_is_left(directory_of(shown))


@pytest.mark.parametrize("uid", [65_534, 4242], ids=["nobody", "no passwd entry"])
def test_needs_no_root(anybodys_directory, uid):
    as_that_user = []
    if os.geteuid() != 0:
        need_user_namespaces()
        as_that_user = ["unshare", "--user", f"--map-user={uid}"]
    # All is imported before: our own files may be where that user cannot go.
    script = (
        "import os, sys\n"
        "import negotiate_wsgi.realm\n"
        "from negotiate_wsgi.__main__ import main\n"
        f"if os.geteuid() == 0: os.setgroups([]), os.setgid({uid}), os.setuid({uid})\n"
        "raise SystemExit(main(['realm', '--', 'sh', '-c', 'klist; id -u']))\n"
    )
    environ = {**CLEAN, "TMPDIR": str(anybodys_directory)}
    done = subprocess.run(
        [*as_that_user, sys.executable, "-c", script], env=environ, cwd="/", capture_output=True,
        text=True,
    )  # fmt: skip
    assert "Default principal: alice@EXAMPLE.TEST" in done.stdout, done.stderr
    assert f"FILE:{anybodys_directory}" in done.stdout
    assert done.stdout.split()[-1] == str(uid)


def test_the_kdc_listens_on_loopback_alone():
    with Realm(users=[]) as realm:
        port = f":{realm.kdc_port:04X}"
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                local = line.split()[1]
                assert not local.endswith(port) or local == f"0100007F{port}"
        assert port in Path("/proc/net/tcp").read_text()


def test_in_python_users_and_services_can_be_added_later():
    with Realm("SECOND.TEST", users=["alice"], hosts=["one.test"]) as realm:
        realm.add_user("late user")
        realm.add_service("HTTP/two.test")
        environ = {**CLEAN, **realm.environ_of("late user")}
        seen = subprocess.check_output(
            ["sh", "-c", "klist; klist -k; kvno -q HTTP/two.test"],
            env=environ,
            text=True,
        )
        assert "Default principal: late user@SECOND.TEST" in seen
        assert "HTTP/two.test@SECOND.TEST" in seen
        assert (
            realm.environ["KRB5CCNAME"]
            == realm.ccache("alice")
            != realm.ccache("late user")
        )
        assert realm.environ["KRB5_KTNAME"] == realm.keytab
        directory = realm.directory
    assert_nothing_is_left(directory)


BAD_REALMS = {
    "kadmin.local": (
        {"hosts": ["localhost", "localhost"]},
        r"kadmin.local -p root/admin@EXAMPLE.TEST addprinc .* failed .*: (?s:.*)already exists",
    ),
    "kinit": ({"users": ["alice", "-x"]}, r"kinit .* failed .*: (?s:.*)invalid option"),
    "kdb5_util": (
        {"kdc_conf": {"dbmodules": {"db": {"db_library": "no-such-library"}}}},
        "kdb5_util create .* failed .*: (?s:.*)no-such-library",
    ),
    "krb5kdc": (
        {"kdc_conf": {"realms": {"$realm": {"kdc_tcp_listen": "203.0.113.1:88"}}}},
        "krb5kdc -n failed .*: (?s:.*)(bind|assign|address)",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD_REALMS.values(), ids=BAD_REALMS)
def test_a_realm_that_fails_to_start_says_what_the_program_said_and_leaves_nothing(
    options, message, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigurationError, match=message), Realm(**options):
        raise AssertionError("never gets here")
    assert list(tmp_path.iterdir()) == []
    assert processes_with(tmp_path) == []


def test_on_the_command_line_a_failure_is_a_sentence_and_no_traceback():
    done = run("--user", "alice", "--user", "alice", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith("negotiate-wsgi: kadmin.local ")
    assert "already exists" in done.stderr
    assert "Traceback" not in done.stderr


def test_os_environ_is_not_touched():
    before = dict(os.environ)
    with Realm(users=["alice"]):
        assert dict(os.environ) == before


def test_a_realm_of_its_own_opens_no_other_door(realm):
    """Fake authority, real tickets: the same names under another authority must fail."""
    from initiator import Initiator

    from negotiate_wsgi import Accepted, Reason
    from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

    acceptor = PykerberosAcceptor()
    assert isinstance(acceptor.accept(realm.token()), Accepted)
    with (
        Realm(realm.name, users=["alice"]) as impostor,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("KRB5_CONFIG", impostor.environ["KRB5_CONFIG"])
        forged = Initiator(
            impostor.ccache("alice"), "HTTP/localhost@EXAMPLE.TEST"
        ).token
    assert acceptor.accept(forged).reason is Reason.WRONG_KEY


def test_a_trusted_realms_users_come_in_unless_realms_says_otherwise(tmp_path):
    script = tmp_path / "trust.py"
    script.write_text(TRUST)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**CLEAN, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "200 admin@OTHER.TEST\n403 \n403 \n", done.stderr


TRUST = """
import os
from initiator import Initiator
from sites import WsgiSite
from negotiate_wsgi import NegotiateMiddleware
from negotiate_wsgi.realm import Realm

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode()]

with Realm("OTHER.TEST", users=["admin"], hosts=[]) as other:
    kdc = {"realms": {"OTHER.TEST": {"kdc": f"127.0.0.1:{other.kdc_port}"}}}
    with Realm("EXAMPLE.TEST", users=["admin"], krb5_conf=kdc) as ours:
        for realm in (other, ours):
            realm.kadmin("addprinc", "krbtgt/EXAMPLE.TEST@OTHER.TEST", typed="shared\\nshared\\n")
        os.environ.update(ours.environ)
        for options in ({}, {"realms": ["EXAMPLE.TEST"]}, {"realms": ["EXAMPLE.TEST"], "strip_realm": True}):
            token = Initiator(other.ccache("admin"), "HTTP/localhost@EXAMPLE.TEST").authorization
            answer = WsgiSite(NegotiateMiddleware(app, **options)).request("/", token)
            print(answer.status, answer.text if answer.status == 200 else "")
"""
