"""Tasks, one file each. Messages carry no work: the database does."""
