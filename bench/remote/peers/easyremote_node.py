"""A node of EasyRemote with the functions of ../functions.ts: PORT."""
import asyncio
import sys
import time

from easyremote import ComputeNode
from easyremote.core.data import FunctionType
from easyremote.core.nodes.compute_node import NodeConfiguration

gateway = f"127.0.0.1:{sys.argv[1]}"
# As many at once as it has callers: its own default is 10.
config = NodeConfiguration(gateway_address=gateway, node_id="n1", max_concurrent_executions=64)
node = ComputeNode(gateway_address=gateway, node_id="n1", log_level="critical", config=config)
# It takes an async generator for a plain function unless it is told.
STREAM = dict(function_type=FunctionType.ASYNC_GENERATOR)


@node.register
async def echo(value):
    return value


@node.register
def gen(items):
    for i in range(items):
        yield i


@node.register(**STREAM)
async def agen(items):
    for i in range(items):
        yield i


@node.register(**STREAM)
async def texts(items):
    for i in range(items):
        yield "x" * 1024


@node.register(**STREAM)
async def stamps(items, every_s):
    for i in range(items):
        if i > 0:
            await asyncio.sleep(every_s)
        yield time.monotonic()


@node.register
async def hang():
    await asyncio.sleep(3600)


@node.register
def size(data):
    return len(data)


@node.register
def blob(count):
    return b"\0" * count


print("READY", flush=True)
node.serve()
