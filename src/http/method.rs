//! Request methods (RFC 9110 §9) and sets of them.

use std::fmt;

/// Declares the methods: variant, name in a request line.
macro_rules! methods {
    ($($variant:ident $name:literal,)+) => {
        /// A method that this server knows: those of the IANA registry, and others that programs are known to
        /// use. It answers 501 to any other (RFC 9110 §9.1).
        ///
        /// PRI is in the registry and not here: no client sends it but as the first octets of HTTP/2 (RFC 9113
        /// §3.4), which this server does not speak.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
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
            // The compiler makes of this chain a jump by the length of `name`, and few comparisons of words
            // behind it: no method is slower for those that stand before it.
            pub fn from_bytes(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$variant); })+
                None
            }

            /// Whether several requests of the method have the same effect as one (RFC 9110 §9.2.2), as the IANA
            /// registry says. What is not in the registry is not idempotent here: no specification promises it,
            /// and a proxy would repeat such a request by itself.
            pub(crate) fn is_idempotent(self) -> bool {
                let is_registered = self < Self::Ban;
                let has_effect_each_time = matches!(
                    self,
                    Self::Post | Self::Patch | Self::Connect | Self::Lock
                );
                is_registered && !has_effect_each_time
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
    // What follows is for handlers and upstreams: the server itself gives it no meaning.
    // WebDAV (RFC 4918, RFC 3253 §3.6, RFC 5323).
    Propfind "PROPFIND",
    Proppatch "PROPPATCH",
    Mkcol "MKCOL",
    Copy "COPY",
    Move "MOVE",
    Lock "LOCK",
    Unlock "UNLOCK",
    Report "REPORT",
    Search "SEARCH",
    // Versions in WebDAV (RFC 3253), which Subversion uses.
    BaselineControl "BASELINE-CONTROL",
    Checkin "CHECKIN",
    Checkout "CHECKOUT",
    Label "LABEL",
    Merge "MERGE",
    Mkactivity "MKACTIVITY",
    Mkworkspace "MKWORKSPACE",
    Uncheckout "UNCHECKOUT",
    Update "UPDATE",
    VersionControl "VERSION-CONTROL",
    // Other extensions of WebDAV: access (RFC 3744), calendars (RFC 4791), order (RFC 3648), redirect
    // references (RFC 4437), bindings (RFC 5842).
    Acl "ACL",
    Mkcalendar "MKCALENDAR",
    Orderpatch "ORDERPATCH",
    Mkredirectref "MKREDIRECTREF",
    Updateredirectref "UPDATEREDIRECTREF",
    Bind "BIND",
    Rebind "REBIND",
    Unbind "UNBIND",
    // Links between resources (RFC 2068 §19.6.1).
    Link "LINK",
    Unlink "UNLINK",
    // Not in the registry, from here to the end (`is_idempotent` goes by that). Caches take BAN and PURGE,
    // UPnP M-SEARCH, NOTIFY, SUBSCRIBE and UNSUBSCRIBE, Icecast SOURCE.
    Ban "BAN",
    Purge "PURGE",
    MSearch "M-SEARCH",
    Notify "NOTIFY",
    Subscribe "SUBSCRIBE",
    Unsubscribe "UNSUBSCRIBE",
    Source "SOURCE",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of methods, as `Allow` lists them (RFC 9110 §10.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodSet(u64);

const _: () = assert!(Method::ALL.len() <= u64::BITS as usize);

impl MethodSet {
    /// Every method that a handler may be given. TRACE is not, because it would echo credentials
    /// (RFC 9110 §9.3.8); CONNECT is not, because it asks for a tunnel.
    pub(crate) const ALL_BUT_TUNNELS: Self =
        Self(Self::of(Method::ALL).0 & !Self::of(&[Method::Trace, Method::Connect]).0);

    /// Makes the set of `methods`.
    pub(crate) const fn of(methods: &[Method]) -> Self {
        let (mut bits, mut i) = (0_u64, 0);
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
        // PRI begins HTTP/2, and is no method that a client asks something with.
        for unknown in ["get", "Get", "GETS", "GE", "", "PRI", "M_SEARCH", "BREW"] {
            assert_eq!(Method::from_bytes(unknown.as_bytes()), None, "{unknown:?}");
        }
    }

    /// The registry at <https://www.iana.org/assignments/http-methods>, as RFC 7237 began it.
    #[test]
    fn methods_are_idempotent_as_the_registry_says() {
        let not_idempotent = [
            "POST",
            "PATCH",
            "CONNECT",
            "LOCK",
            // Not in the registry.
            "BAN",
            "PURGE",
            "M-SEARCH",
            "NOTIFY",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "SOURCE",
        ];
        for method in Method::ALL {
            let expected = !not_idempotent.contains(&method.as_str());
            assert_eq!(method.is_idempotent(), expected, "{method}");
        }
        assert_eq!(Method::ALL.len(), 46);
    }

    #[test]
    fn a_set_holds_every_method_by_itself() {
        for method in Method::ALL {
            let set = MethodSet::of(&[*method]);
            assert_eq!(set, MethodSet::default().with(*method));
            assert!(set.iter().eq([*method]), "{method}");
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
