"""The stored segment format and one importer per source of logs.

A new importer is a file here that reads its logs and calls `write_segment`, a command in
`cli/commands/segments.py`, and a line in the README's list of imports.
"""
