//! What the operator is told: diagnostics, how they are shown, and suggestions of what was meant.
//!
//! This floor knows texts and places in them. It does not know which keys there are: `keys` hands its
//! words in.

pub(crate) mod certificate;
pub(crate) mod diagnostic;
pub(crate) mod fault;
pub(crate) mod file_fault;
pub(crate) mod suggest;
pub(crate) mod syntax;
pub(crate) mod unclosed;
pub(crate) mod vocabulary;
