"""The app that pages of the manual wrap: it says who came in."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {environ.get('REMOTE_USER', 'stranger')}\n".encode()]
