//! Server-sent events: one thread tells the time to every client that listens, however many there are.
//!
//! `cargo run --example events`, then `curl -N http://localhost:8080/events`, or look at
//! <http://localhost:8080/> in a browser.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate::{Response, Server, StreamWriter};

const PAGE: &str = "<!doctype html><title>Events</title><p>Seconds since 1970: <b id=now>…</b>
<script>
new EventSource('/events').onmessage = event => document.getElementById('now').textContent = event.data;
</script>";

/// Who listens.
type Audience = Arc<Mutex<Vec<StreamWriter>>>;

/// Tells every client. One that has gone, or is a whole buffer behind, is not told any more.
fn tell(audience: &Audience, event: &str) {
    let mut audience = audience.lock().unwrap_or_else(PoisonError::into_inner);
    audience.retain(|listener| {
        listener
            .try_write(event.as_bytes())
            .is_ok_and(|count| count == event.len())
    });
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let audience = Audience::default();
    let newcomers = Arc::clone(&audience);
    let server = Server::builder()
        .function("page", |_| Ok(Response::html(PAGE)))
        .function("events", move |_| {
            let (mut writer, response) = Response::channel();
            writer.write_all(b"retry: 1000\n\n")?;
            newcomers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(writer);
            Ok(response
                .content_type("text/event-stream")
                .field("Cache-Control", "no-store"))
        })
        .config_text(
            "[[server]]
             listen = \"localhost:8080\"
             routes.\"= /\"      = { handler = \"page\" }
             routes.\"= /events\" = { handler = \"events\" }",
        )
        .start()?;
    eprintln!("listening at http://{}/", server.addresses()[0]);
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        tell(&audience, &format!("data: {now}\n\n"));
    }
}
