"""Pages about data and runs: facts from artifacts, charts, and one rendering function."""
