"""People's own data: interactions and items in files of the usual formats, read as a release is."""
