"""Training: batches → cohorts of students → predictions and run records."""
