"""The regular-expression dialect of JavaScript: translated, bounded, searched."""
