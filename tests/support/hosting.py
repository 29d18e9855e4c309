"""Imports the modules of all plugins, as every host does: for the server that other processes are forked from."""

from ragkit.host import Host

Host()
