"""Runs in the interpreter that has a script's packages: takes the script as far as its parser, and tells what that knows.

Nothing is trained: the first look that the script takes at its command line ends it. Standard library only, and out of the way before the
script begins, so that it finds on its path what it would find without us.
"""
