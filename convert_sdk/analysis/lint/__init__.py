"""The checks of a document beyond what compiling it tells; each takes a `DocumentView` and a `Report`."""
