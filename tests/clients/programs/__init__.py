"""Programs that use one client library each; `cases` tells how they are run."""
