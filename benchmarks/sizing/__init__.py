"""How much of what is needed: bytes in each back end, and how far one collector goes."""
