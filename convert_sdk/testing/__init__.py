"""What an application's own tests need to run against this package."""
