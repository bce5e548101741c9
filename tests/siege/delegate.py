"""Many users delegated at once, and none of them taken for another.

    delegate.py COUNT CCACHE...
    delegate.py --realm COUNT
    delegate.py --one-token COUNT CCACHE

The first has eight threads sign on COUNT times in all, as the users of these caches by turns, to an
app that asks the next service as each of them. It prints how many there were, and how many answers
were wrong. The services are those of FRONT and BACK, and with ACCOUNT, that account acts for them.
``--realm`` does so in a realm of its own. The last one takes one token COUNT times, for which the
replay cache has to be off, and prints how many times that was, and the bytes of memory and the
descriptors that it left behind.
"""

import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import gssapi
from initiator import SPNEGO, Initiator
from refuse import resident
from werkzeug.test import EnvironBuilder

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, get_delegated
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.wire.authorization import write_token

THREADS = 8
FRONT = os.environ.get("FRONT", "HTTP/localhost@EXAMPLE.TEST")
BACK = os.environ.get("BACK", "HTTP/alias.test@EXAMPLE.TEST")
ACCOUNT = os.environ.get("ACCOUNT")
# Of the service's own account, else the user's own ticket.
DELEGATES = ACCOUNT is None
SETTLE = 1000

back = GssapiAcceptor()


def front_app(environ, start_response):
    """Answers with whom the next service has seen."""
    name = gssapi.Name(BACK, gssapi.NameType.kerberos_principal)
    context = gssapi.SecurityContext(
        name=name, creds=get_delegated(environ), mech=SPNEGO, usage="initiate"
    )
    seen = back.accept(context.step()).identity
    start_response("200 OK", [])
    return [f"{environ['REMOTE_USER']} {seen.principal} {seen.spn}".encode()]


def acceptor_of_front():
    kind = "forwarded" if DELEGATES else "constrained"
    return GssapiAcceptor(delegation=kind, account=ACCOUNT)


front = NegotiateMiddleware(front_app, acceptor=acceptor_of_front())


def ask(application, authorization):
    environ = EnvironBuilder(headers={"Authorization": authorization}).get_environ()
    answer = application(environ, lambda status, headers, exc_info=None: print)
    try:
        return b"".join(answer).decode()
    finally:
        if hasattr(answer, "close"):
            answer.close()


def two_hops(count, ccaches):
    principals = [
        str(gssapi.Credentials(usage="initiate", store={"ccache": ccache}).name)
        for ccache in ccaches
    ]
    wrong, done = [], []

    def work(first):
        for number in range(first, count, THREADS):
            which = number % len(ccaches)
            initiator = Initiator(ccaches[which], FRONT, delegate=DELEGATES)
            said = ask(front, initiator.authorization)
            if said != f"{principals[which]} {principals[which]} {BACK}":
                wrong.append(said)
            done.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done), len(wrong), *wrong[:3])


def in_a_realm(count):
    users = ["alice", "bob", "carol"]
    with Realm(users=users, hosts=["localhost", "alias.test"]) as realm:
        for user in users:
            realm.kinit(user, "-f")
        os.environ |= realm.environ | {"KRB5CCNAME": "FILE:/nowhere"}
        two_hops(count, [realm.ccache(user) for user in users])


def one_token(count, ccache):
    """By turns they are asked for, are not, and are never closed."""
    acceptor = acceptor_of_front()
    token = write_token(Initiator(ccache, FRONT, delegate=DELEGATES).token)
    asked = []

    def asks(environ, start_response):
        asked.append(get_delegated(environ).name)
        asked.clear()
        start_response("200 OK", [])
        return []

    def ignores(environ, start_response):
        start_response("200 OK", [])
        return []

    asking = NegotiateMiddleware(asks, acceptor=acceptor)
    ignoring = NegotiateMiddleware(ignores, acceptor=acceptor)

    def never_closed():
        environ = EnvironBuilder(headers={"Authorization": token}).get_environ()
        asking(environ, lambda status, headers, exc_info=None: print)

    def run(times):
        done = 0
        for number in range(times):
            if number % 3 == 0:
                ask(asking, token)
            elif number % 3 == 1:
                ask(ignoring, token)
            else:
                never_closed()
            done += 1
        return done

    run(SETTLE)
    settled = resident()
    descriptors = len(os.listdir("/proc/self/fd"))
    done = run(count)
    left = len(os.listdir("/proc/self/fd")) - descriptors
    print(done, max(resident() - settled, 0), left)


if __name__ == "__main__":
    if sys.argv[1] == "--realm":
        in_a_realm(int(sys.argv[2]))
    elif sys.argv[1] == "--one-token":
        one_token(int(sys.argv[2]), sys.argv[3])
    else:
        two_hops(int(sys.argv[1]), sys.argv[2:])
