"""Interfaces of other libraries on top of this one, for existing programs.

Each is complete in its own folder and uses only the public API. New programs should use `depthcache` itself.
"""
