//! What an exchange is known by in records of its own and of other servers: its id, and its trace.

use std::cell::OnceCell;
use std::rc::Rc;

use super::request_id::RequestId;
use super::trace::Trace;

/// What an exchange is known by.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) id: Option<RequestId>,
    pub(crate) trace: Option<Trace>,
}

/// Where an exchange keeps its marks, once it has some. Behind a pointer, because few policies want them, and every
/// exchange that waits would have room for them. Shared, because a local redirect goes on with the same.
pub(crate) type MarksPlace = OnceCell<Rc<Marks>>;
