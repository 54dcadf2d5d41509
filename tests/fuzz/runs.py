"""Schemathesis against a real server: requests that its own description calls for, and such as it rules out.

A run is made of rounds; each seeds the server with objects to meet, has Schemathesis send what it makes of the
description with a seed of its own, and reads the history that it leaves. The history of a release run is kept, so that
a finding can be looked at, and sent again from its seed.

    python -m tests.fuzz.runs --requests 10000 --seed 1 --folder .cache/fuzz

Source: reliability, section 3, C and K.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import FUZZER, IDS, sow
from tests.server.process import Server, running

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SLOWEST_S = 5
SETTINGS = {
    "KOBAKO_EXPERIMENTAL_PERMISSIONS_ENDPOINT": "true",
    "KOBAKO_EXPERIMENTAL_COLLECTION_SCHEMA_VALIDATION": "true",
    "KOBAKO_PAGINATE_BY": "5",
}
"""All that can be switched on, and pages that are full soon."""
REPEATS = {"$ref": "#/components/parameters/Idempotency-Key"}
REPEATED = ("create_record", "delete_record")
"""Where keys are sent: elsewhere their few values would have nearly all requests refused for it."""

PHASES = ("coverage,fuzzing", "fuzzing,stateful")
"""Of the first round, and of those after it: what is enumerated is the same each time."""


@dataclass
class Report:
    """What was sent, what came back, and what of it should not have."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)
    """Successes (2xx), by the operation."""

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return self.statuses.total()

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return f"{self.requests} requests in {self.seconds:.0f} s, {len(self.findings)} findings ({statuses})"


def run(folder: Path, *, requests: int, seed: int, examples: int = 40) -> Report:
    """Send at least so many requests to a server of its own, in rounds with seeds that count up."""
    report, started = Report(), time.monotonic()
    (folder / "version.json").write_text('{"name": "kobako"}')
    with running(folder, environ=SETTINGS) as server:
        number = 0
        while report.requests < requests and not report.findings:
            before = report.requests
            _read(_round(server, folder, number, seed + number, examples), report)
            if report.requests == before:
                report.findings.append(f"round {number} sent nothing")
            number += 1
            report.seconds = time.monotonic() - started
            print(f"round {number}, seed {seed + number - 1}: {report}", flush=True)
        if server.process.poll() is not None or not server.workers():
            report.findings.append("the server has ended")
    report.findings += [f"{n} answers of {status}" for status, n in report.statuses.items() if not 100 < status < 500]
    if "Traceback" in server.output:
        report.findings.append(f"the log has tracebacks: {server.output[-4000:]}")
    return report


def described(server: Server) -> dict[str, Any]:
    """Return the server's description, with HEAD besides GET, and with an example of each id."""
    connection = server.connect()
    connection.request("GET", "/v1/__api__")
    document: dict[str, Any] = json.loads(connection.getresponse().read())
    for item in document["paths"].values():
        for parameter in item.get("parameters", ()):
            parameter["example"] = IDS[parameter["name"]][0]
        for operation in item.values():
            if isinstance(operation, dict) and operation["operationId"] not in REPEATED:
                operation["parameters"] = [each for each in operation.get("parameters", ()) if each != REPEATS]
        if "get" in item:
            item["head"] = {**item["get"], "operationId": f"head_{item['get']['operationId']}"}
    return document


def configuration() -> str:
    """Return the configuration of Schemathesis: four of five ids are such as there are."""
    ids = "".join(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in IDS.items())
    bindings = (f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}\n' for name in IDS)
    return ids + "[parameters]\n" + "".join(bindings)


def _round(server: Server, folder: Path, number: int, seed: int, examples: int) -> Path:
    sow(server)
    document, history = folder / "openapi.json", folder / f"history-{number}.ndjson"
    document.write_text(json.dumps(described(server)))
    (folder / "schemathesis.toml").write_text(configuration())
    # fmt: off
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", server.url,
        "--auth", ":".join(FUZZER), "--checks", ",".join(CHECKS), "--max-response-time", str(SLOWEST_S),
        "--phases", PHASES[number > 0], "--max-examples", str(examples), "--seed", str(seed),
        "--no-shrink", "--continue-on-failure", "--max-redirects", "0", "--warnings", "off", "--no-color",
        "--generation-database", "none", "--report", "ndjson", "--report-ndjson-path", str(history),
    ]
    # fmt: on
    with (folder / f"round-{number}.log").open("wb") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=1800, check=False)
    return history


def _read(history: Path, report: Report) -> None:
    """Add to a report what the history of a round says."""
    for event in _events(history):
        if error := event.get("NonFatalError") or event.get("FatalError"):
            report.findings.append(str(error)[:2000])
        recorder = event.get("ScenarioFinished", {}).get("recorder") or {}
        for interaction in recorder.get("interactions", {}).values():
            status = (interaction.get("response") or {}).get("status_code", 0)
            report.statuses[status] += 1
            report.operations[recorder["label"]] += 200 <= status < 300
        for case, checks in recorder.get("checks", {}).items():
            for check in checks:
                kind = f"{recorder['label']}: {check['name']}"
                # One of each kind is enough to begin with; the history has the others.
                if check["status"] != "success" and not any(each.startswith(kind) for each in report.findings):
                    report.findings.append(f"{kind}: {_shown(recorder, case, check)}")


def _shown(recorder: dict[str, Any], case: str, check: dict[str, Any]) -> str:
    interaction = recorder["interactions"].get(case, {})
    return json.dumps({"check": check, "interaction": interaction})[:4000]


def _events(history: Path) -> Iterator[dict[str, Any]]:
    with history.open() as lines:
        for line in lines:
            yield json.loads(line)


def main() -> None:
    """Run from the command line; ends with 1 when there are findings."""
    parser = argparse.ArgumentParser(description="Fuzz a real server from its own description.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, default=Path(".cache/fuzz"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"seed-{options.seed}-", dir=options.folder)).absolute()
    report = run(folder, requests=options.requests, seed=options.seed)
    print(*report.findings, f"{report}; history in {folder}", sep="\n")
    sys.exit(bool(report.findings))


if __name__ == "__main__":
    main()
