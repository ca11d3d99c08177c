"""Tools for an application's own tests of this package."""
