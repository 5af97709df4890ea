//! Configuration: `check`, `explain`, `[[test]]` and what a server does with the same file.
