"""Serves an application of stacks_apps with a server of Python's: serve.py SERVER PORT."""

import sys

from stacks_apps import application


def cheroot(port):
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), application).start()


def bjoern(port):
    import bjoern

    bjoern.run(application, "127.0.0.1", port)


def tornado(port):
    import asyncio

    from tornado.httpserver import HTTPServer
    from tornado.wsgi import WSGIContainer

    async def main():
        HTTPServer(WSGIContainer(application)).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(main())


def twisted(port):
    from twisted.internet import endpoints, reactor
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource

    pool = reactor.getThreadPool()
    site = Site(WSGIResource(reactor, pool, application))
    endpoints.TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(site)
    reactor.run()


def gevent_pywsgi(port):
    from gevent import monkey

    monkey.patch_all()
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), application).serve_forever()


def werkzeug(port):
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, application, threaded=True)


def wsgiref(port):
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", port, application).serve_forever()


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
