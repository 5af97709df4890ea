//! Files: validators, links, types, caches, siblings.
