"""A gateway of EasyRemote: PORT."""
import sys

from easyremote import Server

print("READY", flush=True)
Server(port=int(sys.argv[1]), log_level="critical").start()
