//! What is said to the operator: diagnostics and how they are shown, and what may have been meant.
//!
//! Knows texts and places in them, not what can be configured: the words of the file come from above.

pub(crate) mod diagnostic;
pub(crate) mod fault;
pub(crate) mod suggest;
pub(crate) mod syntax;
pub(crate) mod vocabulary;
