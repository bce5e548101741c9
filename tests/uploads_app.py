"""Takes uploads, for test_uploads: guarded under /wiki, and a page that makes a browser upload."""

import os
from pathlib import Path

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Request, Response

from negotiate_wsgi import NegotiateMiddleware

PAGE = """<!doctype html><title>Uploads</title>
<script>
async function upload(size) {
    try {
        return await (await fetch("/wiki/", {method: "POST", body: new Uint8Array(size)})).text()
    } catch (problem) {
        return String(problem)
    }
}
async function upload_all(sizes) {
    let results = []
    for (const size of sizes) results.push(await upload(size))
    await fetch("/results", {method: "POST", body: results.join("\\n")})
}
upload_all(location.search.slice(1).split(",").map(Number))
</script>
"""


@Request.application
def upload(request):
    return Response(f"{len(request.get_data())} bytes from {request.remote_user}")


@Request.application
def outside(request):
    if request.path == "/results":
        Path(os.environ["RESULTS"]).write_bytes(request.get_data())
        return Response()
    return Response(PAGE, mimetype="text/html")


application = DispatcherMiddleware(
    outside,
    {
        "/wiki": NegotiateMiddleware(upload),
        "/impatient": NegotiateMiddleware(upload, discard_seconds=1),
    },
)
