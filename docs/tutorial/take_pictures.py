"""Takes the tutorial's pictures anew: what a real Chromium shows, with real tickets.

    python docs/tutorial/take_pictures.py

Needs the extra [test] and Chromium, as tests/run installs them.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from negotiate_wsgi.realm import Realm

HERE = Path(__file__).parent
PORT = 8000
URL = f"http://localhost:{PORT}/me"
TRUSTED = ["--auth-server-allowlist=localhost"]
#: Somewhat smaller letters, without coloured edges: smaller files.
ALWAYS = ["--disable-gpu", "--disable-lcd-text", "--blink-settings=defaultFontSize=14"]
SIZE = {"width": 640, "height": 160}


@contextlib.contextmanager
def served(app, environ):
    """The app of that file, by Flask's own server."""
    command = [sys.executable, "-m", "flask", "--app", HERE / "hello" / app, "run"]
    server = subprocess.Popen([*command, "--port", str(PORT)], env=environ)
    try:
        while not is_up():
            if server.poll() is not None:
                raise SystemExit("flask did not start: is the port in use?")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def is_up():
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/").close()
    except OSError:
        return False
    return True


def take(playwright, environ, name, arguments, expected):
    """The picture *name* of a new browser, if it shows what the page says it does."""
    path = shutil.which("chromium")
    named = {"executable_path": path} if path else {"channel": "chromium"}
    with tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, **named, args=ALWAYS + arguments, env=environ, chromium_sandbox=False,
            viewport=SIZE, color_scheme="light",
        )  # fmt: skip
        page = context.pages[0]
        page.goto(URL)
        page.get_by_text(expected).wait_for()
        page.screenshot(path=HERE / "images" / f"{name}.png", full_page=True)
        context.close()


def main():
    (HERE / "images").mkdir(exist_ok=True)
    with Realm() as realm, sync_playwright() as playwright:
        environ = os.environ | realm.environ
        with served("app.py", environ):
            take(playwright, environ, "signed-on", TRUSTED, "Hello, alice@EXAMPLE.TEST")
            take(playwright, environ, "not-trusted", [], "no-credentials")
        with served("app_for_bob.py", environ):
            take(playwright, environ, "forbidden", TRUSTED, "user-not-allowed")


if __name__ == "__main__":
    main()
