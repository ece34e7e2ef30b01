"""Evidence: records on disk, and the statistics made from them. Imports no torch."""
