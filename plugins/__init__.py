"""The built-in plugins, found through entry points like anyone else's."""
