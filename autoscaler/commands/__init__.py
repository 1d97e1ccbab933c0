"""The commands: one module each, with a `command`. They read flags, call the shell, and print."""
