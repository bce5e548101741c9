"""Many sign-ons at once, and none of them as somebody else: mix_up.py ACCEPTOR COUNT

Two processes of eight threads sign on as two users for two SPNs, COUNT times in all, each token made
and judged in the same thread. Prints how many there were, and how many answers were wrong.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from initiator import Initiator

import negotiate_wsgi
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

ACCEPTORS = {"gssapi": negotiate_wsgi.GssapiAcceptor, "pykerberos": PykerberosAcceptor}
USERS = ("alice", "bob")
SPNS = ("HTTP/localhost", "HTTP/alias.test")
THREADS = 8


def work(name, count):
    acceptor, wrong, done = ACCEPTORS[name](), [], []
    directory, realm = os.path.dirname(os.environ["KRB5CCNAME"]), "EXAMPLE.TEST"

    def sign_on(first):
        for number in range(first, count, THREADS):
            user, spn = USERS[number % 2], SPNS[number // 2 % 2]
            initiator = Initiator(f"{directory}/{user}.ccache", f"{spn}@{realm}")
            result = acceptor.accept(initiator.token)
            expected = (f"{user}@{realm}", f"{spn}@{realm}")
            # The initiator trusts only the answer to its own token.
            if (
                result.identity.principal,
                result.identity.spn,
            ) != expected or not initiator.trusts(
                negotiate_wsgi.wire.authorization.write_token(result.token or b"")
            ):
                wrong.append(result)
            if (
                number % 50 == 0
                and acceptor.accept(initiator.token).reason.status != 401
            ):
                wrong.append("a replay")
            done.append(number)

    threads = [
        threading.Thread(target=sign_on, args=(first,)) for first in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done), len(wrong), *wrong[:3])


def main(name, count):
    command = [sys.executable, __file__, name, str(int(count) // 2), "--work"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [process.communicate()[0].split() for process in running]
    assert all(process.returncode == 0 for process in running)
    print(
        sum(int(answer[0]) for answer in answers),
        sum(int(answer[1]) for answer in answers),
    )


if __name__ == "__main__":
    if sys.argv[3:]:
        work(sys.argv[1], int(sys.argv[2]))
    else:
        main(*sys.argv[1:])
