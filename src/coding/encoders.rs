//! The encoders of a worker, for content that is compressed while it is sent.
//!
//! Each takes memory for as long as its content lasts, which may be hours. So what they take together is
//! bounded: content beyond it is sent as it is.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::encoder::{Effort, Encoder};
use crate::http::negotiation::ContentCoding;

/// What the encoders of a worker may take together, in octets: 36 of zstd, 19 of Brotli, or 200 of gzip.
const MOST: usize = 64 * 1024 * 1024;

/// Encoders of a coding that are kept for the next content.
const KEPT: usize = 2;

/// The encoders of one worker.
pub(crate) struct Encoders {
    /// What those that are lent take, in octets.
    taken: Cell<usize>,
    most: usize,
    idle: RefCell<Vec<(ContentCoding, Encoder)>>,
}

impl Default for Encoders {
    fn default() -> Self {
        Self::within(MOST)
    }
}

/// An encoder while it works. Dropped, it goes back to its worker, wherever its content has got to.
pub(crate) struct LentEncoder {
    coding: ContentCoding,
    /// `None` while it is dropped.
    encoder: Option<Encoder>,
    home: Rc<Encoders>,
}

impl Encoders {
    /// Encoders that take no more than `most` octets together.
    fn within(most: usize) -> Self {
        Self {
            taken: Cell::new(0),
            most,
            idle: RefCell::default(),
        }
    }

    /// An encoder for `coding`; `None` if the others take too much memory already.
    pub(crate) fn lend(self: &Rc<Self>, coding: ContentCoding) -> Option<LentEncoder> {
        let taken = self.taken.get() + Encoder::memory(coding);
        if taken > self.most {
            return None;
        }
        let encoder = match self.take_idle(coding) {
            Some(encoder) => encoder,
            None => Encoder::new(coding, Effort::Once)?,
        };
        self.taken.set(taken);
        Some(LentEncoder {
            coding,
            encoder: Some(encoder),
            home: Rc::clone(self),
        })
    }

    fn take_idle(&self, coding: ContentCoding) -> Option<Encoder> {
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().position(|(other, _)| *other == coding)?;
        Some(idle.swap_remove(at).1)
    }

    fn take_back(&self, coding: ContentCoding, mut encoder: Encoder) {
        self.taken.set(self.taken.get() - Encoder::memory(coding));
        let mut idle = self.idle.borrow_mut();
        let kept = idle.iter().filter(|(other, _)| *other == coding).count();
        if kept < KEPT && encoder.restart() {
            idle.push((coding, encoder));
        }
    }
}

impl LentEncoder {
    /// The encoder.
    pub(crate) fn get(&mut self) -> &mut Encoder {
        self.encoder
            .as_mut()
            .expect("it is taken out only when this is dropped")
    }
}

impl Drop for LentEncoder {
    fn drop(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            self.home.take_back(self.coding, encoder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentCoding::{Gzip, Zstd};

    #[test]
    fn encoders_beyond_the_bound_are_not_lent_until_others_are_back() {
        let most = Encoder::memory(Zstd) + Encoder::memory(Gzip);
        let encoders = Rc::new(Encoders::within(most));
        let zstd = encoders.lend(Zstd).expect("the first");
        let gzip = encoders.lend(Gzip).expect("just fits");
        assert!(encoders.lend(Gzip).is_none());
        drop(gzip);
        assert!(encoders.lend(Zstd).is_none() && encoders.lend(Gzip).is_some());
        drop(zstd);
        assert!(encoders.lend(Zstd).is_some());
        assert_eq!(encoders.taken.get(), 0);
    }

    #[test]
    fn a_few_encoders_are_kept_for_the_next_content() {
        let encoders = Rc::new(Encoders::default());
        let lent: Vec<_> = (0..5).map(|_| encoders.lend(Gzip)).collect();
        drop(lent);
        assert_eq!(encoders.idle.borrow().len(), KEPT);
        let lent = encoders.lend(Gzip);
        assert_eq!(encoders.idle.borrow().len(), KEPT - 1);
        drop(lent);
    }
}
