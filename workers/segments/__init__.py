"""The stored segment format and one importer per source of logs.

docs/recipes/importer.md says how to add an importer.
"""
