//! A browser, as far as it keeps cookies; and Chromium, where scripts of a page have to run.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{Directory, Response, Server};

/// Chromium without a window. It keeps its files in `directory`.
pub(crate) fn chromium(directory: &Directory) -> Command {
    let mut chromium = Command::new("chromium");
    // It leaves files in both, also beside its profile.
    chromium.env("HOME", directory.path());
    chromium.env("TMPDIR", directory.path());
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
    ]);
    chromium.arg(format!(
        "--user-data-dir={}",
        directory.join("profile").display()
    ));
    chromium
}

/// A browser that visits one server.
pub(crate) struct Browser<'s> {
    server: &'s Server,
    cookies: BTreeMap<String, String>,
}

impl<'s> Browser<'s> {
    pub(crate) fn of(server: &'s Server) -> Self {
        Self {
            server,
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.ask("GET", target, None)
    }

    pub(crate) fn post(&mut self, target: &str, form: &str) -> Response {
        let media_type = "application/x-www-form-urlencoded";
        self.ask("POST", target, Some((media_type, form.as_bytes())))
    }

    /// The value of the cookie `name`, if a response has set it.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Sends a request, with content of a media type if there is any.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        content: Option<(&str, &[u8])>,
    ) -> Response {
        let pairs = self.cookies.iter();
        let cookies: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let described = content.map_or_else(String::new, |(media_type, octets)| {
            let length = octets.len();
            format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n")
        });
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n{described}\r\n",
            self.server.address(),
            cookies.join("; ")
        );
        let octets = content.map_or(&b""[..], |(_, octets)| octets);
        let mut client = self.server.connect();
        let response = client.exchange([head.as_bytes(), octets].concat());
        let set = response.fields.iter();
        for (_, cookie) in set.filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie")) {
            let pair = cookie.split(';').next();
            let pair = pair.and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a name and a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }
}
