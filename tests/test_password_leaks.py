"""A password that was typed is nowhere: in no log, page, header or file of a real server."""

import base64
import json
import os
import stat
from contextlib import suppress
from html import escape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
import sites
from passwords_site import PasswordsSite, basic, by_proxy

SECRET = "tOp-SeCrEt: pa/ss+word & <42%>"
WRONG = f"wrong-{SECRET}"
#: A password that was typed where the user name belongs.
MISPLACED = "a pass-word in the wrong field"
USER = "leaky"
NO_LIMIT = {"attempts": 1000, "attempts_from_address": 1000, "workers": 8}


def forms_of(password):
    """How *password* would stand in a log, a page, or a file."""
    pairs = [f"{USER}:{password}".encode(), password.encode()]
    return {
        password.encode(),
        quote(password).encode(),
        quote_plus(password).encode(),
        escape(password).encode(),
        json.dumps(password)[1:-1].encode(),
        password.encode("utf-16-le"),
        *(base64.b64encode(pair).rstrip(b"=") for pair in pairs),
    }


FORMS = forms_of(SECRET) | forms_of(WRONG)


def found_in(content, forms=FORMS):
    return {form for form in forms if form in content}


def processes_of(server):
    return [server.pid, *sites.children(server.pid)] if server.poll() is None else []


def nameless(process):
    """The files that *process* has open without a name."""
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we looked
            is_nameless = "(deleted)" in os.readlink(link)
            if is_nameless and stat.S_ISREG(link.stat().st_mode):
                yield str(link), link.read_bytes()


def contents(place):
    """The content of every file below *place*, and of the server's nameless ones."""
    found = {}
    for path in place.directory.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[str(path)] = path.read_bytes()
    for process in processes_of(place.site.process):
        with suppress(FileNotFoundError):
            found.update(nameless(process))
    return found


def leaks(place, forms=FORMS):
    """Files of the server's with a password in them."""
    return {
        name: leaked
        for name, content in contents(place).items()
        if (leaked := found_in(content, forms))
    }


@pytest.fixture
def open_place(realm, tmp_path):
    """A server that logs all that it can, in directories of its own."""
    if USER not in realm.kadmin("listprincs"):
        realm.add_account(USER, SECRET, "+requires_preauth")
    opened = []

    def open_place(application):
        place = SimpleNamespace(directory=tmp_path, ccache=tmp_path / "ccache")
        for name in ("cwd", "tmp", "home"):
            (tmp_path / name).mkdir()
        place.site = PasswordsSite(
            realm,
            tmp_path,
            NO_LIMIT,
            application=f"careless:{application}",
            arguments=[
                *("--log-level", "debug", "--error-logfile", tmp_path / "error.log"),
                *("--capture-output", "--chdir", tmp_path / "cwd"),
                # The server's own, with its name of the user, and all that it offers.
                "--access-logformat",
                '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %({wsgi.input}e)s'
                " %({http_authorization}e)s %(q)s %({set-cookie}o)s %({cookie}i)s",
            ],
            LEVEL="DEBUG",
            TMPDIR=str(tmp_path / "tmp"),
            HOME=str(tmp_path / "home"),
            KRB5CCNAME=f"FILE:{place.ccache}",
            KRB5_TRACE=str(tmp_path / "krb5.trace"),
        )
        opened.append(place.site)
        return place

    yield open_place
    for site in opened:
        site.close()


def sign_on_in_all_ways(site):
    """With the password, right and wrong; returns the answers."""
    foreign = [("Sec-Fetch-Site", "cross-site")]
    answers = []
    for mount in ("", "/broken", "/optional", "/own-pages"):
        for password in (SECRET, WRONG):
            for path in (mount + "/", mount + "/bug"):
                answers += [
                    site.sign_on(USER, password, path=path),
                    site.sign_on(USER, password, path=path, scheme="http"),
                ]
            answers += [
                site.post(USER, password, mount=mount),
                site.post(USER, password, mount=mount, scheme="http"),
                site.post(USER, password, mount=mount, page="cross-site"),
                site.post(USER, password, "/" + "x" * 9000, mount=mount),  # too long
                site.request(
                    mount + "/", basic(USER, password), method="POST", body=b"x",
                    headers=[*by_proxy(), *foreign],
                ),
            ]  # fmt: skip
    return answers


def test_a_password_is_nowhere(open_place):
    place = open_place("discreet")
    site = place.site
    answers = sign_on_in_all_ways(site)
    assert {answer.status for answer in answers} == {200, 303, 401, 403, 413, 500}
    for answer in answers:
        assert not found_in(answer.body + repr(answer.headers).encode())
    cookie = site.post(USER, SECRET).header("Set-Cookie").partition(";")[0]
    inside = site.get(headers=[("Cookie", cookie)])
    assert f"'REMOTE_USER': '{USER}@EXAMPLE.TEST'" in inside.text
    assert not found_in(inside.body + cookie.encode())
    payload = cookie.partition("=")[2].encode()
    for part in payload.split(b"."):
        assert not found_in(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    assert leaks(place) == {}
    site.close()
    assert leaks(place) == {}
    assert not place.ccache.exists()
    # It was looked for where there is a lot to see.
    log = site.log.read_text() + (place.directory / "error.log").read_text()
    for seen in (
        "LookupError: a bug",
        "ZeroDivisionError",
        "environ = {",
        "password-over-http",
    ):
        assert seen in log
    assert "Sending" in (place.directory / "krb5.trace").read_text()


def test_a_password_in_the_wrong_field_is_in_no_log(open_place):
    place = open_place("discreet")
    site = place.site
    assert site.sign_on(MISPLACED, "x").status == 401
    assert site.post(MISPLACED, "x").status == 401
    assert site.sign_on(MISPLACED, "x", scheme="http").status == 401
    forms = forms_of(MISPLACED) | {base64.b64encode(MISPLACED.encode())[:36]}
    found = leaks(place, forms)
    # krb5 tells all names to who has asked for its trace.
    assert found.keys() <= {str(place.directory / "krb5.trace")}


def test_one_that_is_told_is_found(open_place):
    """The negative control."""
    place = open_place("talkative")
    place.site.sign_on(USER, SECRET)
    place.site.post(USER, SECRET)
    [(file, found)] = leaks(place).items()
    assert file == str(place.site.log)
    pair = base64.b64encode(f"{USER}:{SECRET}".encode()).rstrip(b"=")
    assert {SECRET.encode(), quote_plus(SECRET).encode(), pair} <= found
