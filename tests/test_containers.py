"""Image and manifest of the samples: linted, of one piece, and what they start signs on."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import sites
import yaml
from sample import BIN, ROOT, copy_samples

from negotiate_wsgi import settings
from negotiate_wsgi.realm import Realm

CONTAINERFILE = (ROOT / "samples" / "Containerfile").read_text()
MANIFEST = (ROOT / "samples" / "kubernetes.yaml").read_text()
CONFIG_MAP, DEPLOYMENT, SERVICE, INGRESS = yaml.safe_load_all(MANIFEST)
TEMPLATE = DEPLOYMENT["spec"]["template"]
POD = TEMPLATE["spec"]
[CONTAINER] = POD["containers"]
VARIABLES = {each["name"]: each["value"] for each in CONTAINER["env"]}


def lint(command, text, tmp_path):
    file = tmp_path / "linted"
    file.write_text(text)
    done = subprocess.run([*command, file], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


LINTERS = {
    "Containerfile": ([BIN / "hadolint"], CONTAINERFILE, "python:3.13-slim", "python"),
    "kubernetes.yaml": (
        [BIN / "kubernetes-validate", "--strict", "--quiet"],
        MANIFEST,
        "mountPath: /tmp",
        "mountpath: /tmp",
    ),
}


@pytest.mark.parametrize("sample", LINTERS)
def test_linters_find_nothing(sample, tmp_path):
    command, text, good, bad = LINTERS[sample]
    code, said = lint(command, text, tmp_path)
    assert code == 0, said
    # The negative control.
    code, said = lint(command, text.replace(good, bad), tmp_path)
    assert code != 0, said


def instructions(name):
    """The arguments of each instruction of that name, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", "")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def command_of_the_image():
    [command] = instructions("CMD")
    return json.loads(command)


def variables_of_the_image():
    [variables] = instructions("ENV")
    return dict(each.split("=", 1) for each in variables.split())


def test_the_images_packages_are_of_debian():
    """Those that this machine has for the same ends."""
    for command in instructions("RUN"):
        found = re.search("--no-install-recommends ([a-z0-9 -]+)", command)
        if found:
            subprocess.run(["dpkg-query", "--show", *found[1].split()], check=True)


def test_the_manifest_is_of_one_piece():
    assert (
        DEPLOYMENT["spec"]["selector"]["matchLabels"] == TEMPLATE["metadata"]["labels"]
    )
    assert SERVICE["spec"]["selector"] == TEMPLATE["metadata"]["labels"]
    [port] = CONTAINER["ports"]
    bind = command_of_the_image()[command_of_the_image().index("--bind") + 1]
    assert port["containerPort"] == int(bind.rpartition(":")[2])
    assert instructions("EXPOSE") == [str(port["containerPort"])]
    [of_service] = SERVICE["spec"]["ports"]
    assert of_service["targetPort"] == port["name"]
    [rule] = INGRESS["spec"]["rules"]
    assert rule["host"] == VARIABLES["NEGOTIATE_HOSTNAME"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {
        "name": SERVICE["metadata"]["name"],
        "port": {"name": of_service["name"]},
    }
    for probe in ("readinessProbe", "livenessProbe"):
        asked = CONTAINER[probe]["httpGet"]
        assert asked["path"] in VARIABLES["NEGOTIATE_EXEMPT_PATHS"].split()
        assert asked["port"] == port["name"]


def test_what_the_manifest_names_is_there():
    known = {f"NEGOTIATE_{name.upper()}" for name in settings._READERS}
    ours = {name for name in VARIABLES if name.startswith("NEGOTIATE_")}
    assert ours <= known
    volumes = {each["name"] for each in POD["volumes"]}
    mounts = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    assert set(mounts) == volumes
    created = re.search(r"create secret generic (\S+) (.*)$", MANIFEST, re.MULTILINE)
    files = {name.partition("=")[0] for name in re.findall(r"file=(\S+)", created[2])}
    [secret] = [each["secret"] for each in POD["volumes"] if "secret" in each]
    [config] = [each["configMap"] for each in POD["volumes"] if "configMap" in each]
    assert secret["secretName"] == created[1]
    assert config["name"] == CONFIG_MAP["metadata"]["name"]
    named = [Path(value) for name, value in VARIABLES.items() if value.startswith("/")]
    named.remove(Path(VARIABLES["NEGOTIATE_EXEMPT_PATHS"]))
    there = {Path(mounts["sign-on"], name) for name in files}
    there |= {Path(mounts["krb5"], name) for name in CONFIG_MAP["data"]}
    there.add(Path(mounts["replay-cache"]))
    assert set(named) == there


@pytest.fixture
def pod(tmp_path):
    """What the image starts with what the manifest gives it, each in a place of its own.

    The KDC and its krb5.conf are not there: a server need not reach it.
    """
    samples = tmp_path / "samples"
    port = copy_samples(tmp_path)["8000"]
    host = VARIABLES["NEGOTIATE_HOSTNAME"]
    with Realm("EXAMPLE.COM", users=["alice"], hosts=[host]) as realm:
        places = {
            each["mountPath"]: tmp_path / each["name"]
            for each in CONTAINER["volumeMounts"]
        }
        for place in places.values():
            place.mkdir()
        (tmp_path / "sign-on" / "keytab").write_bytes(Path(realm.keytab).read_bytes())
        (tmp_path / "sign-on" / "session-key").write_text("0123456789abcdef" * 4)
        for file in (tmp_path / "sign-on").iterdir():
            file.chmod(0o440)
        for name, content in CONFIG_MAP["data"].items():
            (tmp_path / "krb5" / name).write_text(content)
        environ = {**variables_of_the_image(), **VARIABLES, "PATH": os.environ["PATH"]}
        for name, value in environ.items():
            for path, place in places.items():
                if value.startswith(f"{path}/") or value == path:
                    environ[name] = value.replace(path, str(place))
        command = [
            word.replace("/opt/myapp/bin/", f"{BIN}/")
            .replace("/opt/myapp/", f"{samples}/")
            .replace("0.0.0.0:8000", f"127.0.0.1:{port}")
            for word in command_of_the_image()
        ]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            sites.wait_for(int(port), process)
            yield realm, host, port
        finally:
            process.terminate()
            process.wait(120)


def curl(pod, path, *arguments):
    realm, host, port = pod
    command = ["curl", "--silent", "--include", *arguments]
    command += ["--connect-to", f"{host}:80:127.0.0.1:{port}", f"http://{host}{path}"]
    return subprocess.check_output(
        command, env={**os.environ, **realm.environ}, text=True
    )


def test_what_the_image_starts_signs_on(pod):
    answer = curl(pod, "/", "--negotiate", "--user", ":")
    assert "Hello alice@EXAMPLE.COM" in answer
    assert "Set-Cookie: __Host-negotiate=" in answer
    assert "; Secure" in answer
    assert "(no-credentials)" in curl(pod, "/")
    assert "Hello stranger" in curl(pod, "/health")
