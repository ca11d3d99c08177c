"""Rule coverage: what tests have seen of a project's variations and of each condition of its rules."""
