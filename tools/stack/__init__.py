"""Real servers on this machine, without Docker: for the demo, the tests, and development.

from tools.stack import Stack, free_ports

stack = Stack(state_dir=folder, ports=free_ports())
stack.up()
stack.url("prometheus")
stack.down()
"""

from __future__ import annotations

from tools.stack.ports import chosen_ports, free_ports
from tools.stack.servers import SERVERS
from tools.stack.stack import ServerStatus, Stack, StackError

__all__ = ["SERVERS", "ServerStatus", "Stack", "StackError", "chosen_ports", "free_ports"]
