//! Request methods (RFC 9110 §9) and sets of them.

use std::fmt;

/// Declares the methods: variant, name in a request line.
macro_rules! methods {
    ($($variant:ident $name:literal,)+) => {
        /// A method that this server knows. It answers 501 to any other (RFC 9110 §9.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Method {
            $(
                #[doc = $name]
                $variant,
            )+
        }

        impl Method {
            /// Every known method, in the order in which `Allow` lists them.
            pub(crate) const ALL: &'static [Method] = &[$(Method::$variant,)+];

            /// Returns the method called `name`, in which case matters.
            pub fn from_bytes(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$variant); })+
                None
            }

            /// Whether several requests of the method have the same effect as one (RFC 9110 §9.2.2; RFC 4918,
            /// RFC 5323 and RFC 10008 for theirs).
            pub(crate) fn is_idempotent(self) -> bool {
                !matches!(
                    self,
                    Self::Post | Self::Patch | Self::Connect | Self::Lock
                )
            }

            /// The name of the method, as it stands in a request line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

methods! {
    Get "GET",
    Head "HEAD",
    Post "POST",
    Put "PUT",
    Patch "PATCH",
    Delete "DELETE",
    Options "OPTIONS",
    Trace "TRACE",
    Connect "CONNECT",
    Query "QUERY",
    // WebDAV (RFC 4918, 3253, 5323): for handlers and upstreams.
    Propfind "PROPFIND",
    Proppatch "PROPPATCH",
    Mkcol "MKCOL",
    Copy "COPY",
    Move "MOVE",
    Lock "LOCK",
    Unlock "UNLOCK",
    Report "REPORT",
    Search "SEARCH",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of methods, as `Allow` lists them (RFC 9110 §10.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodSet(u32);

impl MethodSet {
    /// Every method that a handler may be given. TRACE is not, because it would echo credentials
    /// (RFC 9110 §9.3.8); CONNECT is not, because it asks for a tunnel.
    pub(crate) const ALL_BUT_TUNNELS: Self =
        Self(Self::of(Method::ALL).0 & !Self::of(&[Method::Trace, Method::Connect]).0);

    /// Makes the set of `methods`.
    pub(crate) const fn of(methods: &[Method]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < methods.len() {
            bits |= 1 << methods[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// Returns this set with `method` added.
    pub(crate) const fn with(self, method: Method) -> Self {
        Self(self.0 | 1 << method as u32)
    }

    /// Returns the set of the methods that are in this set or in `other`.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `method` is in the set.
    pub(crate) const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u32) != 0
    }

    /// Returns the methods in the set, in the order of [`Method::ALL`].
    pub(crate) fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL
            .iter()
            .copied()
            .filter(move |method| self.contains(*method))
    }
}

/// The value of an `Allow` field: `GET, HEAD, OPTIONS`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive_and_round_trip() {
        for method in Method::ALL {
            assert_eq!(
                Method::from_bytes(method.as_str().as_bytes()),
                Some(*method)
            );
        }
        for unknown in ["get", "Get", "GETS", "GE", ""] {
            assert_eq!(Method::from_bytes(unknown.as_bytes()), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_set_displays_as_an_allow_value() {
        let set = MethodSet::of(&[Method::Options, Method::Get]).with(Method::Head);
        assert_eq!(set.to_string(), "GET, HEAD, OPTIONS");
        assert!(!set.contains(Method::Post));
        assert_eq!(MethodSet::default().to_string(), "");
    }
}
