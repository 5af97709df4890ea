//! Circles: files of which each is reached from every other over their imports.

use std::collections::{BTreeMap, BTreeSet};

/// Which node leads to which.
pub(crate) type Graph<N> = BTreeMap<N, BTreeSet<N>>;

/// The circles of a graph (Tarjan's strongly connected components of more than one node), each
/// sorted, and the largest first.
pub(crate) fn circles<N: Ord + Clone>(graph: &Graph<N>) -> Vec<Vec<N>> {
    let mut search = Search {
        graph,
        found: BTreeMap::new(),
        open: Vec::new(),
        circles: Vec::new(),
    };
    for node in graph.keys() {
        if !search.found.contains_key(node) {
            search.visit(node);
        }
    }
    let mut circles = search.circles;
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

struct Search<'a, N> {
    graph: &'a Graph<N>,
    /// How many nodes were found before each.
    found: BTreeMap<&'a N, usize>,
    /// Nodes whose circle is not known yet.
    open: Vec<&'a N>,
    circles: Vec<Vec<N>>,
}

impl<'a, N: Ord + Clone> Search<'a, N> {
    /// Follows what `node` leads to; returns the earliest open node that it leads to.
    fn visit(&mut self, node: &'a N) -> usize {
        let order = self.found.len();
        self.found.insert(node, order);
        self.open.push(node);
        let mut earliest = order;
        for next in self.graph.get(node).into_iter().flatten() {
            match self.found.get(next) {
                None => earliest = earliest.min(self.visit(next)),
                Some(order) if self.open.contains(&next) => earliest = earliest.min(*order),
                Some(_) => {}
            }
        }
        if earliest == order {
            self.close(node);
        }
        earliest
    }

    /// Takes `node` and what was opened after it off: they are one circle, or it stands alone.
    fn close(&mut self, node: &'a N) {
        let start = self.open.iter().position(|open| *open == node);
        let closed = self.open.split_off(start.unwrap_or(self.open.len()));
        if closed.len() > 1 {
            let mut circle: Vec<N> = closed.into_iter().cloned().collect();
            circle.sort();
            self.circles.push(circle);
        }
    }
}

mod tests {
    use super::*;

    fn graph(edges: &[(char, char)]) -> Graph<char> {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(*from).or_insert_with(BTreeSet::new).insert(*to);
        }
        graph
    }

    #[test]
    fn nodes_that_reach_each_other_are_a_circle() {
        for (edges, expected) in [
            (&[('a', 'b'), ('b', 'c'), ('a', 'c')][..], &[][..]),
            (&[('a', 'a')], &[]),
            (&[('a', 'b'), ('b', 'a'), ('b', 'c')], &["ab"]),
            (
                &[('a', 'b'), ('b', 'c'), ('c', 'a'), ('c', 'd'), ('d', 'c')],
                &["abcd"],
            ),
            (
                &[
                    ('x', 'a'),
                    ('a', 'b'),
                    ('b', 'a'),
                    ('b', 'c'),
                    ('c', 'd'),
                    ('d', 'e'),
                    ('e', 'c'),
                ],
                &["cde", "ab"],
            ),
        ] {
            let found = circles(&graph(edges));
            let found: Vec<String> = found.iter().map(|circle| circle.iter().collect()).collect();
            assert_eq!(found, expected, "{edges:?}");
        }
    }
}
