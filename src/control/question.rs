//! The questions of `tidegate explain`: requests that no client has sent.

use std::net::IpAddr;

use crate::http::method::Method;

/// What a question says about TLS, by the scheme of its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The client comes without TLS.
    Http,
    /// The client comes over TLS, and names the host of the question in its handshake.
    Https,
}

/// A request that no client has sent, to be explained.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    /// The request-target.
    pub(crate) target: String,
    /// The value of its `Host` field.
    pub(crate) host: String,
    /// The port of the listener that it arrives at. With `None`, and without a `listener`, it arrives
    /// where a server names its host.
    pub(crate) port: Option<u16>,
    /// Whether the client speaks TLS; `None`: it does what the listener asks for.
    pub(crate) scheme: Option<Scheme>,
    /// The listener that it arrives at, as the operator writes it.
    pub(crate) listener: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) client: IpAddr,
    /// Whether the client has shown a certificate.
    pub(crate) has_certificate: bool,
}

impl Question {
    /// The question as fields of a request to a running server; [`from_fields`](Self::from_fields)
    /// reads them there.
    pub(crate) fn to_fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("Explain-Method", self.method.to_string()),
            ("Explain-Target", self.target.clone()),
            ("Explain-Host", self.host.clone()),
            ("Explain-Client", self.client.to_string()),
        ];
        fields.extend(self.port.map(|port| ("Explain-Port", port.to_string())));
        let over = self.scheme.map(|scheme| match scheme {
            Scheme::Http => "plain",
            Scheme::Https => "tls",
        });
        fields.extend(over.map(|over| ("Explain-Over", over.to_owned())));
        let certificate = self.has_certificate.then(|| "shown".to_owned());
        fields.extend(certificate.map(|shown| ("Explain-Certificate", shown)));
        let listener = self.listener.iter();
        fields.extend(listener.map(|address| ("Explain-Listener", address.clone())));
        let further = self
            .fields
            .iter()
            .map(|(name, value)| ("Explain-Field", format!("{name}: {value}")));
        fields.extend(further);
        fields
    }

    /// Reads the question from such fields, whose names are in lower case.
    ///
    /// # Errors
    /// Which field is missing or wrong, as a sentence.
    pub(crate) fn from_fields(fields: &[(String, String)]) -> Result<Self, String> {
        let find = |name: &str| {
            fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value)
        };
        let target = find("explain-target").ok_or("Explain-Target is missing")?;
        let method = find("explain-method").map_or("GET", String::as_str);
        let client = find("explain-client").map_or("127.0.0.1", String::as_str);
        let further = fields.iter().filter(|(name, _)| name == "explain-field");
        let pair = |(_, text): &(String, String)| {
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        Ok(Self {
            method: Method::from_bytes(method.as_bytes())
                .ok_or("Explain-Method is no known method")?,
            target: target.clone(),
            host: find("explain-host")
                .cloned()
                .unwrap_or_else(|| "localhost".to_owned()),
            port: find("explain-port").and_then(|port| port.parse().ok()),
            listener: find("explain-listener").cloned(),
            fields: further.map(pair).collect(),
            scheme: find("explain-over").map(|over| match over.as_str() {
                "plain" => Scheme::Http,
                _ => Scheme::Https,
            }),
            has_certificate: find("explain-certificate").is_some(),
            client: client.parse().map_err(|_| "Explain-Client is no address")?,
        })
    }

    /// The head of the request, as a client would send it.
    pub(crate) fn head(&self) -> String {
        let fields: String = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let has_host = self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = if has_host {
            String::new()
        } else {
            format!("Host: {}\r\n", self.host)
        };
        format!(
            "{} {} HTTP/1.1\r\n{host}{fields}\r\n",
            self.method, self.target
        )
    }
}
