//! Which servers of a group the operator has drained, by the words of `tidegate upstream`: an address, or a name
//! that leads to several. The list of servers forgets those to which no name leads at the moment; the words stay,
//! so that a server that comes back is still drained, and one to which a drained name leads anew is as well.

use super::members::Entry;

/// How many orders are kept. Beyond it, the oldest is forgotten that means no present server: a script that drains
/// each server before it ends one may never reload.
const MAX: usize = 1024;

/// In the order in which they were given. Of those that mean a server, the last one holds.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<Order>);

#[derive(Debug)]
struct Order {
    /// An address or a name, as [`Entry::is_called`] compares it.
    word: String,
    is_drained: bool,
}

impl Orders {
    /// Whether an order with this word holds.
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|order| order.word == word)
    }

    /// Whether the server of `entry` is drained.
    pub(super) fn is_drained(&self, entry: &Entry) -> bool {
        let mut latest_first = self.0.iter().rev();
        let last = latest_first.find(|order| entry.is_called(&order.word));
        last.is_some_and(|order| order.is_drained)
    }

    /// Takes note that what is called `word` is drained, or is not any more. `is_present` says whether a word
    /// means a present server.
    pub(super) fn give(&mut self, word: &str, is_drained: bool, is_present: impl Fn(&str) -> bool) {
        self.0.retain(|order| order.word != word);
        self.0.push(Order {
            word: word.to_owned(),
            is_drained,
        });
        if !self.0.iter().any(|order| order.is_drained) {
            self.0.clear();
        }
        if self.0.len() > MAX
            && let Some(nth) = self.0.iter().position(|order| !is_present(&order.word))
        {
            self.0.remove(nth);
        }
    }

    /// Forgets the orders that mean none of `entries`.
    pub(super) fn keep_those_of(&mut self, entries: &[Entry]) {
        let is_meant = |order: &Order| entries.iter().any(|entry| entry.is_called(&order.word));
        self.0.retain(is_meant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_orders_the_oldest_is_forgotten_that_means_no_present_server() {
        let mut orders = Orders::default();
        for number in 0..=MAX {
            orders.give(&number.to_string(), true, |word| word == "0");
        }
        assert_eq!(orders.0.len(), MAX);
        let known = ["0", "1", "2"].map(|word| orders.has(word));
        assert_eq!(known, [true, false, true]);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_drained() {
        let mut orders = Orders::default();
        for (word, is_drained) in [("a", true), ("b", true), ("b", false), ("a", false)] {
            orders.give(word, is_drained, |_| true);
        }
        assert!(orders.0.is_empty());
    }
}
