"""Firefox, driven by what it brings along for that: Marionette.

See Mozilla's "Marionette Protocol": each message is its length, a colon, and JSON.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from pathlib import Path

import sites
from helpers import FIREFOX, wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, section "Elements"


class Firefox:
    """A Firefox with *profile*, a directory, that takes any certificate."""

    def __init__(self, profile, executable=None, environ=None, **preferences):
        port = sites.free_port()
        self._write_profile(profile, {"marionette.port": port, **preferences})
        firefox = executable or shutil.which("firefox-esr")
        command = [firefox, "--headless", "--no-remote", "--marionette", "--profile"]
        self._process = subprocess.Popen(
            [*command, profile],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        sites.wait_for(port, self._process)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rwb")
        self._receive()  # its greeting
        self._number = 0
        self("NewSession", acceptInsecureCerts=True)

    def _write_profile(self, profile, preferences):
        profile.mkdir()
        lines = [
            f"user_pref({json.dumps(name)}, {json.dumps(value)});"
            for name, value in {**FIREFOX, **preferences}.items()
        ]
        (profile / "user.js").write_text("\n".join(lines))

    def __call__(self, command, **parameters):
        """What the browser answers to a command of WebDriver's."""
        self._number += 1
        message = json.dumps([0, self._number, f"WebDriver:{command}", parameters])
        self._file.write(f"{len(message)}:{message}".encode())
        self._file.flush()
        _, number, error, result = self._receive()
        assert number == self._number
        assert error is None, error
        return result

    def _receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self._file.read(1)
            assert byte, "Firefox has ended"
            length += byte
        return json.loads(self._file.read(int(length[:-1])))

    def close(self):
        self._file.close()
        self._socket.close()
        self._process.terminate()
        self._process.wait()

    # As a person sees it

    def open(self, url):
        self("Navigate", url=url)

    def _find(self, css):
        found = self("FindElement", using="css selector", value=css)
        return {"id": found["value"][_ELEMENT]}

    def has(self, css):
        found = self("FindElements", using="css selector", value=css)
        return bool(found)

    def text(self, css):
        return self("GetElementText", **self._find(css))["value"].strip()

    def type(self, css, text):
        self("ElementClear", **self._find(css))
        self("ElementSendKeys", **self._find(css), text=text)

    def press(self, name):
        """A button that leads to another page; returns once that is there."""
        xpath = f"//button[normalize-space()='{name}']"
        found = self("FindElement", using="xpath", value=xpath)
        before = self._page()
        self("ElementClick", id=found["value"][_ELEMENT])
        wait_until(lambda: self._page() not in (None, before))

    def _page(self):
        """What is another one for each page, and None until it is complete."""
        script = (
            "return document.readyState == 'complete' ? performance.timeOrigin : null"
        )
        return self("ExecuteScript", script=script, args=[])["value"]

    @property
    def url(self):
        return self("GetCurrentURL")["value"]

    def reload(self):
        self("Refresh")

    def back(self):
        self("Back")

    def screenshot(self, path):
        shot = self("TakeScreenshot", full=True)["value"]
        Path(path).write_bytes(base64.b64decode(shot))
