"""The suite: corpora → features → encoder(mixer) → predictions → records → tables and figures.

Start at `bench.cli`; settings are in `bench.config`, named ones in `bench.presets` and `bench.profiles`.
"""
