"""The parts of the load driver; ``python -m examples.ada.drive`` runs it."""
