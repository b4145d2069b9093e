"""What Python imports first in each process under ``ada-otel run``: telemetry starts before the app."""

import sys

try:
    from ada_otel.launcher._start import start
except ImportError as error:
    sys.stderr.write(
        f"ada-otel: {sys.executable} starts without telemetry ({error}); install ada-otel where it looks.\n"
    )
else:
    start()
