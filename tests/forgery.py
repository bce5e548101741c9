"""Headers in which a client says itself what only a proxy or we may say, in all their spellings."""

import json
import subprocess

#: Tells an application where it is, or who is asking.
NAMES = [
    "Script-Name", "X-Script-Name", "X-Forwarded-Prefix", "X-Forwarded-Host",
    "Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Remote-User",
    "X-Remote-Group", "X-Remote-Groups", "X-Forwarded-User", "X-Forwarded-Email",
    "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Auth-User", "X-Auth-Request-User",
    "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username",
    "X-Authenticated-User", "X-WebAuth-User", "X-User",
]  # fmt: skip
SPELLINGS = [
    lambda name: name,
    lambda name: name.lower(),
    lambda name: name.replace("-", "_"),
    lambda name: name.upper().replace("-", "_"),
    lambda name: name.replace("-", "_", 1),
]
#: gunicorn refuses a request whose path does not begin with the SCRIPT_NAME that a proxy sends.
FORGED = [f"{spell(name)}: /forged" for name in NAMES for spell in SPELLINGS]
#: Names of other things, which are to arrive.
GENUINE = [
    f"{name}: genuine"
    for name in ("X-Auth-Token", "X-Remote", "X-User-Agent", "User-Agent")
]


def told(url, headers):
    """What an application is told of requests with *headers*."""
    environ = {}
    for few in batched(headers):
        fields = [argument for header in few for argument in ("--header", header)]
        command = ["curl", "--silent", "--insecure", "--negotiate", "--user", ":"]
        environ |= json.loads(subprocess.check_output([*command, *fields, url]))
    return environ


def batched(headers, at_once=50):
    """Servers refuse a request with more than 100 headers."""
    return [
        headers[start : start + at_once] for start in range(0, len(headers), at_once)
    ]


def forged(environ):
    """The keys of what is forged."""
    keys = {key for key in environ if key.startswith("HTTP_") or key == "SCRIPT_NAME"}
    return {key for key in keys if "forged" in environ[key]}


def is_told_all(environ, headers):
    keys = {
        "HTTP_" + header.partition(":")[0].upper().replace("-", "_")
        for header in headers
    }
    return keys <= environ.keys()
