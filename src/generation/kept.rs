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
//! end                                { used: b c }               a is found no more
//! ```
//!
//! Generation 7 keeps its own [`Kept`]. If generation 8 is refused halfway, dropping the new one is
//! all there is to undo.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The values of one kind that a generation uses, each under the key it was made of.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    /// What this generation has asked for.
    used: HashMap<K, Arc<V>>,
    /// What the generation before it uses; empty once this one is complete.
    before: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            used: HashMap::new(),
            before: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    /// The beginning of the next generation's: it uses nothing yet, and finds what `self` uses.
    pub(crate) fn begin(&self) -> Self {
        Self {
            used: HashMap::new(),
            before: self.used.clone(),
        }
    }

    /// The value of `key`: what this generation or the one before it has, else what `make` returns.
    pub(crate) fn get_or_make(&mut self, key: &K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        let value = self.find(key).unwrap_or_else(|| Arc::new(make(key)));
        self.used.insert(key.clone(), Arc::clone(&value));
        value
    }

    /// Whether this generation has asked for the value of `key`.
    pub(crate) fn is_used(&self, key: &K) -> bool {
        self.used.contains_key(key)
    }

    /// Completes the generation: what it has not asked for is found no more.
    pub(crate) fn end(&mut self) {
        self.before = HashMap::new();
    }

    fn find(&self, key: &K) -> Option<Arc<V>> {
        let value = self.used.get(key).or_else(|| self.before.get(key));
        value.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(made, [3]);
        let (_, made) = next(&second, &[1, 2, 3]);
        assert_eq!(made, [1], "nobody asked for it in between");
    }

    #[test]
    fn routes_of_one_key_share_a_value() {
        let mut kept = Kept::default();
        let [first, second, other] = [1, 1, 2].map(|key| kept.get_or_make(&key, |key| *key));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        assert!(kept.is_used(&2) && !kept.is_used(&3));
    }

    #[test]
    fn a_generation_that_is_refused_leaves_the_one_before_as_it_was() {
        let (first, _) = next(&Kept::default(), &[1, 2]);
        drop(next(&first, &[2, 3]));
        let (_, made) = next(&first, &[1, 2]);
        assert!(made.is_empty(), "{made:?}");
    }
}
