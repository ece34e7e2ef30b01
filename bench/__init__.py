"""The suite: corpora → features → encoder(mixer) → predictions → records → tables and figures.

Start at `bench.cli`; settings are in `bench.config`, named ones in `bench.presets` and `bench.profiles`.

Nothing phones home. ONNX Runtime does, from 1.29 on, unless the environment says no before it is loaded; that
is said here, for this process and its children.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
