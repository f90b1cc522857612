"""From a surprise to a test that is proven to be one: reproduce it, make it small, prove it.

Everything asks for rollouts through `Drive` and starts from the beginning whenever it is called.
Rollouts are stored once per drive_key: whoever drives may answer "not driven yet" by raising, and
call again later.
"""
