//! [`Kept`]: the state of one kind that survives a reload.
//!
//! A value is found by its key, which is everything that the value was made of: a route whose options
//! have not changed goes on with the value it has, a route whose options have changed gets another.
//!
//! ```text
//! generation 7                       { used: a b }
//! begin: 8 is prepared               { used:       before: a b }
//! get_or_make(b): the same value     { used: b     before: a b }
//! get_or_make(c): a new one          { used: b c   before: a b }
//! end                                { used: b c }               a is released
//! ```
//!
//! Generation 7 keeps its own [`Kept`]. If generation 8 is refused halfway, dropping the new one is
//! all there is to undo.
//!
//! A released value may still be in use: by an exchange that began in generation 7, or by code that
//! runs. The supervisor holds it ([`Retired`]) until it is not. A count that bounds what is in use has to be
//! found again until then ([`Kept::find_or_make`]), or twice as much would be let in.

use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::{Arc, Weak};

/// The values of one kind that a generation uses, each under the key it was made of.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    /// What this generation has asked for.
    used: HashMap<K, Arc<V>>,
    /// What the generation before it uses; empty once this one is complete.
    before: HashMap<K, Arc<V>>,
    /// What earlier generations used, and this one does not.
    released: HashMap<K, Weak<V>>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            used: HashMap::new(),
            before: HashMap::new(),
            released: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    /// The beginning of the next generation's: it uses nothing yet, and finds what `self` uses.
    pub(crate) fn begin(&self) -> Self {
        let mut released = self.released.clone();
        released.retain(|_, value| value.strong_count() > 0);
        Self {
            used: HashMap::new(),
            before: self.used.clone(),
            released,
        }
    }

    /// The value of `key`: what this generation or the one before it has, else what `make` returns.
    pub(crate) fn get_or_make(&mut self, key: &K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        let made = self.get_or_try_make(key, |key| Ok::<V, Infallible>(make(key)));
        made.unwrap_or_else(|never| match never {})
    }

    /// As [`get_or_make`](Self::get_or_make), and a value that an earlier generation released is found as long as
    /// anything uses it. What only a trial used that was taken back is not.
    pub(crate) fn find_or_make(&mut self, key: &K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        if let Some(value) = self.released.get(key).and_then(Weak::upgrade) {
            self.before.insert(key.clone(), value);
        }
        self.get_or_make(key, make)
    }

    /// As [`get_or_make`](Self::get_or_make), where making may fail.
    ///
    /// # Errors
    /// What `make` fails with; the next call tries again.
    pub(crate) fn get_or_try_make<E>(
        &mut self,
        key: &K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let known = self.used.get(key).or_else(|| self.before.get(key));
        let value = match known {
            Some(value) => Arc::clone(value),
            None => Arc::new(make(key)?),
        };
        self.used.insert(key.clone(), Arc::clone(&value));
        Ok(value)
    }

    /// The value of `key`, if this generation has asked for it.
    pub(crate) fn get(&self, key: &K) -> Option<&Arc<V>> {
        self.used.get(key)
    }

    /// All values that this generation has asked for.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<V>> {
        self.used.values()
    }

    /// Completes the generation: what it has not asked for is found no more, but by
    /// [`find_or_make`](Self::find_or_make).
    pub(crate) fn end(&mut self) {
        for (key, value) in self.before.drain() {
            self.released.insert(key, Arc::downgrade(&value));
        }
        self.released.retain(|key, _| !self.used.contains_key(key));
    }

    /// Hands to `retired` what `self` uses and `next`, the generation after it, does not; takes back
    /// what `next` uses.
    pub(crate) fn release(&self, next: &Self, retired: &mut Retired)
    where
        V: Send + Sync + 'static,
    {
        for value in self.used.values() {
            retired.insert(Arc::clone(value));
        }
        for value in next.used.values() {
            retired.remove(value);
        }
    }
}

/// Values that the generation that runs does not ask for, until nothing uses them.
///
/// What ends with a value (a database, a thread) may take its time, and no event loop is to wait for
/// it: the owner of this drops them, on its own thread.
#[derive(Default)]
pub(crate) struct Retired(
    /// By address.
    HashMap<usize, Arc<dyn Any + Send + Sync>>,
);

impl Retired {
    fn insert<V: Send + Sync + 'static>(&mut self, value: Arc<V>) {
        self.0.insert(Arc::as_ptr(&value) as usize, value);
    }

    fn remove<V>(&mut self, value: &Arc<V>) {
        self.0.remove(&(Arc::as_ptr(value) as usize));
    }

    /// Drops the values that nothing else uses, on this thread.
    pub(crate) fn drop_unused(&mut self) {
        // Only this thread finds a retired value again, for a generation: once nothing else uses it, nothing
        // else will.
        self.0.retain(|_, value| Arc::strong_count(value) > 1);
    }

    /// Whether every value has been dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(old: &Kept<u32, u32>, new: &Kept<u32, u32>) -> usize {
        let mut retired = Retired::default();
        old.release(new, &mut retired);
        retired.0.len()
    }

    /// The next generation of `kept`, which asks for `keys`; and the keys that had to be made.
    fn next(kept: &Kept<u32, u32>, keys: &[u32]) -> (Kept<u32, u32>, Vec<u32>) {
        let (mut next, mut made) = (kept.begin(), Vec::new());
        for key in keys {
            let value = next.get_or_make(key, |key| {
                made.push(*key);
                key * 10
            });
            assert_eq!(*value, key * 10);
        }
        next.end();
        (next, made)
    }

    #[test]
    fn a_value_is_made_once_and_kept_while_generations_ask_for_it() {
        let (first, made) = next(&Kept::default(), &[1, 2, 2, 1]);
        assert_eq!(made, [1, 2]);
        let (second, made) = next(&first, &[2, 3]);
        assert_eq!((made, released(&first, &second)), (vec![3], 1));
        let (_, made) = next(&second, &[1, 2, 3]);
        assert_eq!(made, [1], "no generation asked for it in between");
    }

    #[test]
    fn a_released_value_is_found_while_it_is_in_use() {
        let (first, _) = next(&Kept::default(), &[1]);
        let in_use = Arc::clone(&first.used[&1]);
        let (second, _) = next(&first, &[]);
        drop(first);
        // Several generations may pass, and one of them may be refused.
        let (third, _) = next(&second, &[]);
        drop(third.begin());
        let again = third.begin().find_or_make(&1, |_| 7);
        assert!(Arc::ptr_eq(&again, &in_use));
        drop((again, in_use));
        assert_eq!(*third.begin().find_or_make(&1, |_| 7), 7);
    }

    #[test]
    fn routes_of_one_key_share_a_value() {
        let mut kept = Kept::default();
        let [first, second, other] = [1, 1, 2].map(|key| kept.get_or_make(&key, |key| *key));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        assert!(kept.get(&2).is_some() && kept.get(&3).is_none());
    }

    #[test]
    fn a_generation_that_is_refused_leaves_the_one_before_as_it_was() {
        let (first, _) = next(&Kept::default(), &[1, 2]);
        drop(next(&first, &[2, 3]));
        let (_, made) = next(&first, &[1, 2]);
        assert!(made.is_empty(), "{made:?}");
    }

    #[test]
    fn making_may_fail_and_is_tried_again() {
        let mut kept: Kept<u32, u32> = Kept::default();
        assert_eq!(kept.get_or_try_make(&1, |_| Err("no")), Err("no"));
        let made = kept.get_or_try_make(&1, |key| Ok::<_, &str>(*key));
        assert_eq!(made.as_deref(), Ok(&1));
    }

    #[test]
    fn what_is_retired_is_dropped_when_nothing_uses_it() {
        let mut retired = Retired::default();
        let (first, _) = next(&Kept::default(), &[1, 2]);
        let (second, _) = next(&first, &[2]);
        first.release(&second, &mut retired);
        retired.drop_unused();
        assert_eq!(retired.0.len(), 1, "the first generation still uses it");
        drop(first);
        retired.drop_unused();
        assert!(retired.is_empty());
    }

    #[test]
    fn a_generation_that_returns_takes_back_what_was_retired() {
        let mut retired = Retired::default();
        let (first, _) = next(&Kept::default(), &[1]);
        let (second, _) = next(&first, &[]);
        first.release(&second, &mut retired);
        first.release(&second, &mut retired);
        assert_eq!(retired.0.len(), 1);
        second.release(&first, &mut retired);
        assert!(retired.is_empty());
    }
}
