"""The interfaces of other libraries on top of this one, for programs that come from them.

Each lives whole in a folder of its own and uses the public API alone. Not here: anything that a new
program should use.
"""
