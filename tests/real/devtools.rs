//! A page in Chromium, driven by the protocol of its developer tools: a script is run in it, keys are pressed, and
//! what it complains about is kept.
//!
//! ```text
//! Chromium writes DevToolsActivePort ─→ GET /json/list ─→ the WebSocket of the page ─→ {"id", "method", "params"}
//! ```

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::browser::chromium;
use crate::program::Program;
use crate::support::{Client, Directory, until};
use crate::websocket::WebSocket;

/// A page that is open.
pub(crate) struct Page {
    socket: WebSocket,
    last_id: u64,
    /// What the browser has told meanwhile.
    events: Vec<Value>,
    _chromium: Program,
}

impl Page {
    /// Opens `url` in a new Chromium, whose files are in `directory`.
    pub(crate) fn open(directory: &Directory, url: &str) -> Self {
        let mut command = chromium(directory);
        command.args(["--remote-debugging-port=0", "about:blank"]);
        let said = File::create(directory.join("chromium.log")).expect("the directory is ours");
        command.stdout(Stdio::null()).stderr(said);
        let chromium = Program::start(command);
        let port = until("Chromium tells its port", || {
            let told = std::fs::read_to_string(directory.join("profile/DevToolsActivePort"));
            told.ok()?.lines().next()?.parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let path = until("there is a page", || page_at(address));
        let socket = WebSocket::connect(address, &path);
        let mut page = Self {
            socket,
            last_id: 0,
            events: Vec::new(),
            _chromium: chromium,
        };
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.call("Page.navigate", json!({ "url": url }));
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'");
        page
    }

    /// Has the browser do something, and returns the result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let message = json!({ "id": id, "method": method, "params": params });
        self.socket.send(&message.to_string());
        loop {
            let mut message: Value =
                serde_json::from_str(&self.socket.text()).expect("Chromium sends JSON");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The value of an expression in the page; of a promise, what comes of it.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].take()
    }

    /// The text of the first element that `selector` selects; empty if there is none.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let value = self.value(&format!(
            "document.querySelector({selector:?})?.textContent ?? ''"
        ));
        value.as_str().expect("a text").to_owned()
    }

    /// Waits until an expression is true in the page, and returns its value.
    pub(crate) fn until(&mut self, expression: &str) -> Value {
        let wait = format!(
            "new Promise((done) => {{ const look = () => {{ let value; \
             try {{ value = ({expression}); }} catch {{}} \
             if (value) done(value); else if (performance.now() - start > 20000) done(null); \
             else setTimeout(look, 50); }}; const start = performance.now(); look(); }})"
        );
        let value = self.value(&wait);
        if value.is_null() {
            let shown = self.value("document.body.innerText");
            panic!(
                "not in time: {expression}\n{shown}\n{:?}",
                self.complaints()
            );
        }
        value
    }

    /// Presses a key that writes nothing, such as `Tab`.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let params =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Gives the window a size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// The errors that the console shows: exceptions, policies that are violated, resources that are missing.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            _ => false,
        };
        let complaints = self.events.iter().filter(is_complaint);
        complaints.map(ToString::to_string).collect()
    }
}

/// The path of the WebSocket of the first page.
fn page_at(address: SocketAddr) -> Option<String> {
    let mut client = Client::connect(address);
    client.send(format!(
        "GET /json/list HTTP/1.1\r\nHost: {address}\r\n\r\n"
    ));
    // Chromium puts no space behind the colon.
    let head = String::from_utf8_lossy(&client.raw_head()).to_ascii_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"))?;
    let targets = client.read(length.trim().parse().ok()?);
    let targets: Value = serde_json::from_slice(&targets).ok()?;
    let mut targets = targets.as_array()?.iter();
    let page = targets.find(|target| target["type"] == "page")?;
    let url = page["webSocketDebuggerUrl"].as_str()?;
    let (_, path) = url.strip_prefix("ws://")?.split_once('/')?;
    Some(format!("/{path}"))
}
