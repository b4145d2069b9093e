"""What demo, tests and drills need beside the wheel: builds of the servers, and the native stack."""
