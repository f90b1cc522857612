"""What the service writes to its log: one line a request, with its id, however it was started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2


def test_a_request_is_logged_once(tmp_path: Path) -> None:
    command = (sys.executable, "-P", "-m", "uvicorn", "server.app:app", "--port", "0")
    settings = {
        "REDRIVE_LOG_FORMAT": "json",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDRIVE_DATA": str(tmp_path),
    }
    with subprocess.Popen(
        command,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            began = next(
                event
                for event in (json.loads(line)["event"] for line in process.stdout)
                if "running on" in event
            )
            with httpx2.Client(base_url=began.split()[3], timeout=120, trust_env=False) as client:
                answer = client.get("/problems")
                client.get("/nothing")
        finally:
            process.terminate()
        lines = [json.loads(line) for line in process.stdout]
    told = [(line["path"], line["status"]) for line in lines if "path" in line]
    assert told == [("/problems", 200), ("/nothing", 404)]
    assert [line["request_id"] for line in lines if "/problems" in str(line)] == [
        answer.headers["X-Request-ID"]
    ]
    assert not [line for line in lines if "HTTP/1.1" in line["event"]]
