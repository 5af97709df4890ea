//! The target of `redirect` and `rewrite`.

/// Where a redirect leads, or what an upstream is asked for. The query is appended unless the target says
/// `{query}`. A redirect also appends the path below the route's path, unless the route is exact or the
/// target says `{path}` or `{rest}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RedirectTarget {
    /// As the operator writes it.
    pub(crate) written: String,
    /// What it consists of, in order.
    pub(crate) parts: Vec<TargetPart>,
}

impl RedirectTarget {
    /// The parts for a route that has every parameter of the target; `segment` tells the index of a
    /// parameter's segment.
    pub(crate) fn resolved(&self, segment: impl Fn(&str) -> Option<usize>) -> Vec<ResolvedPart> {
        let resolved = |part: &TargetPart| match part {
            TargetPart::Text(text) => ResolvedPart::Text(text.clone()),
            TargetPart::Host => ResolvedPart::Host,
            TargetPart::Path => ResolvedPart::Path,
            TargetPart::Rest => ResolvedPart::Rest,
            TargetPart::Query => ResolvedPart::Query,
            TargetPart::Parameter(name) => {
                let index = segment(name);
                ResolvedPart::Segment(
                    index.expect("the configuration is checked: the route has it"),
                )
            }
        };
        self.parts.iter().map(resolved).collect()
    }
}

/// A part of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetPart {
    /// Text that stands in the target as it is.
    Text(String),
    /// The host of the request, without its port.
    Host,
    /// The path of the request.
    Path,
    /// What the path of the request has below the route's path: empty, or from a slash on.
    Rest,
    /// The query of the request.
    Query,
    /// The segment that the parameter of that name stands for in the route's path.
    Parameter(String),
}

/// As [`TargetPart`], where a parameter is a segment of the path.
pub(crate) enum ResolvedPart {
    Text(String),
    Host,
    Path,
    Rest,
    Query,
    /// The segment of the path with that index.
    Segment(usize),
}
