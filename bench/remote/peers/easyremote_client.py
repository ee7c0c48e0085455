"""A client of EasyRemote: CASE PORT OPTIONS (JSON). Prints one line of JSON that begins with {.

It is given every advantage: results are not cached (its default gives stale ones), calls are not retried, nothing is logged.
"""
import json
import os
import signal
import sys
import threading
import time

from easyremote import Client
from easyremote.core.nodes.client import RetryPolicy

case, port, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])


def connect(limit_s=600):
    policy = RetryPolicy(max_attempts=1, circuit_breaker_threshold=10**9)
    client = Client(
        f"127.0.0.1:{port}", log_level="critical", enable_caching=False, request_timeout_ms=limit_s * 1e3, retry_policy=policy
    )
    client.connect()
    return client


def ready():
    """Once the gateway has the node."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            client = connect()
            if len(client.list_nodes()) > 0:
                time.sleep(1)
                return client
        except Exception:
            pass
        time.sleep(0.2)
    raise SystemExit("the node did not register")


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))]
    return {"count": len(ordered), "p50Ms": at(0.5), "p99Ms": at(0.99), "p999Ms": at(0.999), "maxMs": ordered[-1]}


def calls():
    latencies = []

    def caller(value, until):
        while time.monotonic() < until:
            start = time.monotonic()
            client.execute("echo", value)
            latencies.append((time.monotonic() - start) * 1e3)

    def run(seconds):
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=caller, args=(i, until)) for i in range(options["callers"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run(0.5)
    latencies.clear()
    start = time.monotonic()
    run(options["ms"] / 1e3)
    return {**percentiles(latencies), "perS": len(latencies) / (time.monotonic() - start)}


def items():
    start = time.monotonic()
    first = None
    received = 0
    for item in client.stream(options["fn"], options["items"]):
        first = first or time.monotonic() - start
        assert options["fn"] == "texts" or item == received
        received += 1
    assert received == options["items"]
    return {"perS": received / (time.monotonic() - start), "firstMs": first * 1e3}


def first():
    lags = []
    for _ in range(15):
        lags += [(time.monotonic() - item) * 1e3 for item in client.stream("stamps", 1, 0)]
    return percentiles(lags)


def arrival():
    count = max(4, options["ms"] // 500)
    return percentiles([(time.monotonic() - item) * 1e3 for item in client.stream("stamps", count, 0.5)])


def large():
    def timed(work):
        start = time.monotonic()
        try:
            work()
            return (time.monotonic() - start) * 1e3, None
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"[:160]

    argument_ms, argument_error = timed(lambda: client.execute("size", b"\0" * (64 << 20)))
    # It never answers: its own limit of 300 s would have to pass.
    result_ms, result_error = timed(lambda: connect(20).execute("blob", 64 << 20))
    return {"argumentMs": argument_ms, "argumentError": argument_error, "resultMs": result_ms, "resultError": result_error}


def loss():
    ended = {}

    def call():
        try:
            client.execute("hang")
        except Exception:
            ended["callMs"] = time.monotonic()

    def stream():
        try:
            for _ in connect().stream("stamps", 100000, 0.05):
                pass
        except Exception:
            ended["streamMs"] = time.monotonic()

    threads = [threading.Thread(target=work, daemon=True) for work in (call, stream)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    killed = time.monotonic()
    os.kill(options["nodePid"], signal.SIGKILL)
    for thread in threads:
        thread.join(max(0, killed + options["limitS"] - time.monotonic()))
    return {name: (ended[name] - killed) * 1e3 if name in ended else None for name in ("callMs", "streamMs")}


client = ready()
print(json.dumps(globals()[case]()), flush=True)
# It leaves threads behind.
os._exit(0)
