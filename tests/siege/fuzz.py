"""Coverage-guided: what must hold of anything that anybody sends, as long as you like.

    tests/siege/fuzz.py SECONDS [SEED]      (in the environment that tests/run has made)

libFuzzer looks for inputs that reach new branches of this package, and each is held against
properties.py; tokens begin as genuine ones, of a realm of their own. The input that breaks a
property is printed in hex, and the exit code is not 0.
"""

import os
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["negotiate_wsgi"]):
    import properties
    from certificates import binding_of, made, put
    from initiator import Initiator
    from pacs import logon_info, upn_dns_info

    import negotiate_wsgi.acceptors.pykerberos
    from negotiate_wsgi import Accepted, GssapiAcceptor
    from negotiate_wsgi.realm import Realm
    from negotiate_wsgi.wire.certificate import first_certificate


def targets(realm):
    """Functions of a provider of fuzzed data."""
    keytab = Path(realm.keytab).read_bytes()
    good = properties.sign("alice@EXAMPLE.TEST", 86_400)
    genuine = [token(realm, "HTTP/localhost") for _ in range(300)]
    genuine += [
        token(realm, f"{service}/localhost").replace(service.encode(), b"HTTP", 1)
        for service in ("host", "rest") for _ in range(20)
    ]  # fmt: skip
    judges = [
        GssapiAcceptor(),
        negotiate_wsgi.acceptors.pykerberos.PykerberosAcceptor(),
    ]

    pac = logon_info(resource_domain="S-1-5-21-7-8-9", resource=[(1400, 7), (1401, 7)])
    names = upn_dns_info()

    pem = made()[0]
    der = first_certificate(pem)
    before = made(number=1)[0]
    # One that knows two certificates, and looks twice at the tokens of the one before.
    binding = GssapiAcceptor(
        channel_binding="required",
        certificate=put(Path(realm.directory) / "www.pem", before),
    )
    put(Path(realm.directory) / "www.pem", pem)
    bound = [
        token(realm, "HTTP/localhost", binding=binding_of(each))
        for each in (pem, before) for _ in range(50)
    ]  # fmt: skip

    def near_genuine(data):
        return properties.mutated(data.PickValueInList(genuine), edits(data))

    return [
        lambda data: properties.header(data.ConsumeUnicode(4096)),
        lambda data: properties.header(f"Negotiate {data.ConsumeString(4096)}"),
        lambda data: properties.header(properties.encoded(data.ConsumeBytes(4096))),
        lambda data: properties.header(properties.encoded(near_genuine(data))),
        lambda data: properties.basic(data.ConsumeUnicode(4096)),
        lambda data: properties.basic(
            properties.encoded(data.ConsumeBytes(2048), "Basic")
        ),
        lambda data: properties.ticket(near_genuine(data)),
        lambda data: properties.keytab(properties.mutated(keytab, edits(data))),
        lambda data: properties.logon_info(properties.mutated(pac, edits(data))),
        lambda data: properties.logon_info(data.ConsumeBytes(4096)),
        lambda data: properties.upn_dns_info(properties.mutated(names, edits(data))),
        lambda data: properties.certificate(properties.mutated(der, edits(data))),
        lambda data: properties.certificate_file(properties.mutated(pem, edits(data))),
        lambda data: properties.acceptor(
            binding, properties.mutated(data.PickValueInList(bound), edits(data))
        ),
        lambda data: properties.explanation(properties.encoded(near_genuine(data))),
        lambda data: properties.explanation(data.ConsumeUnicode(4096)),
        lambda data: properties.identity(data.ConsumeUnicode(64), data.ConsumeUnicode(64)),
        lambda data: properties.cookie(data.ConsumeBytes(512).decode("latin-1"), good),
        lambda data: properties.cookie(
            properties.mutated(good.encode(), edits(data)).decode("latin-1"), good
        ),
        *(lambda data, judge=judge: properties.acceptor(judge, near_genuine(data)) for judge in judges),
    ]  # fmt: skip


def token(realm, spn, **options):
    return Initiator(realm.ccache("alice"), f"{spn}@{realm.name}", **options).token


def edits(data):
    count = data.ConsumeIntInRange(0, 6)
    return [
        (data.ConsumeIntInRange(0, 4000), data.ConsumeIntInRange(0, 4), data.ConsumeIntInRange(0, 255))
        for _ in range(count)
    ]  # fmt: skip


def fuzz(realm, seconds, seed):
    os.environ |= realm.environ
    known = targets(realm)
    runs = [0] * len(known)

    def one_input(content):
        data = atheris.FuzzedDataProvider(content)
        which = data.ConsumeIntInRange(0, len(known) - 1)
        try:
            known[which](data)
        except Exception:
            print(f"broken by {content.hex()}", flush=True)
            raise
        runs[which] += 1
        if sum(runs) % 10_000 == 1:
            assert isinstance(judge.accept(token(realm, "HTTP/localhost")), Accepted)
            print(f"fuzzed: {sum(runs)} inputs, of each kind {runs}", flush=True)

    judge = GssapiAcceptor()
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=8192",
               f"-artifact_prefix={tempfile.gettempdir()}/", "-print_final_stats=0", "-verbosity=0",
               "-rss_limit_mb=4096"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


def main(seconds, seed=0):
    with Realm(users=["alice"]) as realm:
        for service in ("host", "rest"):
            realm.add_service(f"{service}/localhost")
        child = (
            os.fork()
        )  # libFuzzer ends its process, and the realm has to end after that
        if not child:
            try:
                fuzz(realm, seconds, seed)
            finally:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
