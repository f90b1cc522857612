"""One comparison of a demo: submitted, followed, said."""

from typing import Any

from cli.progress_line import follow
from cli.supervision.supervisor import say
from server.client import Client


def compare(client: Client, *, title: str, expected: str, **submission: Any) -> dict[str, Any]:
    """What the verdict is and should be; `submission` is the body of `POST /v1/runs`."""
    run = client.submit({**submission, "requested_by": "demo"})
    say(f"{title}: {run['url']}")
    run = follow(client, run["id"], None)
    say(f"  {run['sentence'] if run['verdict'] else run['error'] or run['status']}")
    said = {name: run[name] for name in ("verdict", "sentence", "url")}
    return {"comparison": title, **said, "expected": expected}
