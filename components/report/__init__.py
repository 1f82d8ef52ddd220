"""Pages that tell a person about data and runs: facts from artifacts, charts, and one rendering function."""
