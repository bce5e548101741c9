"""The first run on a stranger's machine: what samples/set-up does where something is in its way."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import processes_with, wait_until
from machine import need_user_namespaces

ROOT = Path(__file__).parent.parent
SET_UP = ROOT / "samples" / "set-up"
SCRIPTS = [
    "samples/demo",
    "samples/with_fleet",
    "tests/run",
    *(f"tests/{run}/run" for run in ("siege", "benchmarks", "stacks")),
]


def shell(directory, commands, prefix=(), **environ):
    """What a script does that sources samples/set-up."""
    copy = directory / "set-up"
    if not copy.exists():
        shutil.copy(SET_UP, copy)
    return subprocess.run(
        [*prefix, "bash", "-euo", "pipefail", "-c", f". ./set-up\n{commands}"], cwd=directory,
        env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def programs(anybodys_directory):
    """A PATH that has nothing but some programs."""
    path = anybodys_directory / "bin"
    path.mkdir()
    for name in (
        "bash",
        "sh",
        "id",
        "grep",
        "mktemp",
        "cat",
        "rm",
        "dpkg-query",
        "apt-get",
    ):
        (path / name).symlink_to(shutil.which(name))
    return path


def as_nobody():
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}"]
    return [shutil.which("setpriv"), *user, "--clear-groups"]


MISSING = "need_packages bash no-such-package"


def test_without_sudo_it_says_what_to_install_as_root(programs):
    done = shell(programs.parent, MISSING, as_nobody(), PATH=str(programs))
    assert done.returncode == 1
    assert (
        "there is no sudo. As root, run: apt-get install no-such-package\n"
        in done.stderr
    )


def test_elsewhere_than_on_debian_it_says_so(programs):
    (programs / "apt-get").unlink()
    (programs / "dpkg-query").unlink()
    done = shell(programs.parent, MISSING, PATH=str(programs))
    assert done.returncode == 1
    assert "Only Debian and Ubuntu are set up by this script." in done.stderr


def test_where_sudo_fails_its_words_and_ours_are_shown(programs):
    """As offline, and for users who may not use sudo."""
    (programs / "sudo").write_text(
        '#!/bin/sh\necho "proxy: $2"\necho you are not in the sudoers file\nexit 1\n'
    )
    (programs / "sudo").chmod(0o755)
    proxy = "http://proxy.test:3128"
    done = shell(
        programs.parent, MISSING, as_nobody(), PATH=str(programs), http_proxy=proxy
    )
    assert done.returncode == 1
    assert f"proxy: http_proxy={proxy}\n" in done.stderr  # for apt-get
    assert "you are not in the sudoers file\n" in done.stderr
    assert "The first run needs the network." in done.stderr
    assert "as root, run: apt-get install no-such-package\n" in done.stderr


def test_where_nothing_is_missing_nothing_is_done(programs):
    done = shell(programs.parent, "need_packages bash", as_nobody(), PATH=str(programs))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# A place of our own over /usr/sbin, where the installation puts its policy.
IN_A_ROOT_OF_ITS_OWN = [
    "unshare", "--map-root-user", "--mount", "sh", "-c",
    'mount -t tmpfs tmpfs /usr/sbin && "$@"; code=$?; ls /usr/sbin; exit $code', "-",
]  # fmt: skip
INSTALLS = """#!/bin/sh
[ "$1" = install ] || exit 0
/usr/sbin/policy-rc.d nginx start
echo "policy-rc.d says $?" >&2
cp /usr/sbin/policy-rc.d .
exit 1
"""


def test_packages_do_not_start_their_services(programs):
    """Debian's invoke-rc.d and deb-systemd-invoke ask policy-rc.d: 101 is "no"."""
    need_user_namespaces()
    (programs / "apt-get").unlink()
    (programs / "apt-get").write_text(INSTALLS)
    (programs / "apt-get").chmod(0o755)
    done = shell(
        programs.parent,
        MISSING,
        IN_A_ROOT_OF_ITS_OWN,
        PATH=f"{programs}:{os.environ['PATH']}",
    )
    assert "policy-rc.d says 101\n" in done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "== Installing packages: "
    )  # the policy is gone
    # One that was left behind, by a SIGKILL, allows all and deletes itself.
    left = programs.parent / "left"
    policy = (programs.parent / "policy-rc.d").read_text()
    left.write_text(policy.replace("/usr/sbin/policy-rc.d", str(left)))
    assert subprocess.run(["sh", left, "nginx", "start"]).returncode == 0
    assert not left.exists()


INSTALLS_SAMBA = """#!/bin/sh
[ "$1" = install ] || exit 0
touch /lib/systemd/system/smbd.service /lib/systemd/system/samba-ad-dc.service
"""
WITH_A_FILE_SERVER = [
    "unshare", "--map-root-user", "--mount", "sh", "-c",
    "mount -t tmpfs tmpfs /usr/sbin && mount -t tmpfs tmpfs /lib/systemd/system &&"
    ' touch /lib/systemd/system/smbd.service && "$@"', "-",
]  # fmt: skip


def test_what_we_installed_does_not_start_at_boot_and_what_was_there_does(programs):
    need_user_namespaces()
    (programs / "apt-get").unlink()
    for name, text in [
        ("apt-get", INSTALLS_SAMBA),
        ("systemctl", '#!/bin/sh\necho "$@" >>systemctl.log\n'),
    ]:
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    done = shell(programs.parent, MISSING, WITH_A_FILE_SERVER, PATH=path)
    assert done.returncode == 0, done.stderr
    log = (programs.parent / "systemctl.log").read_text()
    assert log == "--quiet disable samba-ad-dc\n"


def test_of_two_at_once_the_second_waits_and_says_so(tmp_path):
    work = "work() { echo began >>log; sleep 1; echo ended >>log; }; one_at_a_time work"
    shutil.copy(SET_UP, tmp_path / "set-up")
    command = ["bash", "-c", f". ./set-up; {work}"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = "".join(process.communicate()[0] for process in both)
    assert (tmp_path / "log").read_text().split() == ["began", "ended"] * 2
    assert said.count("Waiting for another set-up in this directory") == 1


def test_what_a_set_up_leaves_running_does_not_hold_the_lock(tmp_path):
    work = "work() { quietly sh -c 'sleep 30 >/dev/null 2>&1 & echo $! >pid'; }; one_at_a_time work"
    assert shell(tmp_path, f"{work}; {work}").returncode == 0
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_quiet_success_and_loud_failure(tmp_path):
    done = shell(
        tmp_path, "quietly echo well; quietly sh -c 'echo why; exit 3' || echo $?"
    )
    assert (done.stdout, done.stderr) == ("3\n", "why\n")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    directory = tmp_path_factory.mktemp("environment") / "with a space"
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    return directory


def test_an_environment_that_was_moved_is_seen(tmp_path, environment):
    """The scripts of a virtual environment have its path in their first lines."""
    assert shell(tmp_path, f"is_in_place '{environment}'").returncode == 0
    shutil.copy(environment / "pyvenv.cfg", tmp_path)
    assert shell(tmp_path, f"is_in_place '{tmp_path}'").returncode == 1


def tiny_wheel(directory):
    wheel = directory / "tiny-1-py3-none-any.whl"
    about = "tiny-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
        )
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.mark.parametrize(
    "setting", ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"]
)
def test_pip_installs_into_the_environment_whatever_the_user_has_set(
    tmp_path, environment, setting
):
    value = (
        str(tmp_path / "elsewhere") if setting in {"PIP_TARGET", "PIP_PREFIX"} else "1"
    )
    install = f"pip_for '{environment}' install --no-index --force-reinstall {tiny_wheel(tmp_path)}"
    done = shell(tmp_path, install, HOME=str(tmp_path), **{setting: value})
    assert done.returncode == 0, done.stderr
    [installed] = environment.glob("lib/python*/site-packages/tiny.py")
    installed.unlink()


@pytest.mark.parametrize("script", SCRIPTS)
def test_sh_runs_them_with_bash(script):
    code = [
        line
        for line in (ROOT / script).read_text().splitlines()
        if not line.startswith("#")
    ]
    assert re.match(
        r'\[ -n "\$\{BASH_VERSION:-\}" \] \|\| exec bash "\$0" "\$@"', code[0]
    )


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
)
def test_whatever_ends_the_tests_nothing_survives(tmp_path, number):
    """As tests/run starts pytest, which starts its workers, which start servers."""
    command = f"sleep 60 & sh -c 'sleep 60; true' & echo up; wait # {tmp_path}"
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "supervise.py", "sh", "-c", command],
        env={**os.environ, "TMPDIR": str(tmp_path), "MARK": str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "up\n"
    assert len(processes_with(tmp_path)) >= 4
    process.send_signal(number)
    process.communicate(timeout=120)
    wait_until(lambda: not processes_with(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [0, 5])
def test_the_tests_exit_code_is_handed_on(code):
    supervise = [sys.executable, ROOT / "tests" / "supervise.py"]
    assert subprocess.run([*supervise, "sh", "-c", f"exit {code}"]).returncode == code
