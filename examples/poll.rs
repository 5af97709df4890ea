//! A long poll: clients ask for the next message and wait for it, and none of them holds a thread.
//!
//! `cargo run --example poll`, then `curl http://localhost:8080/next` in some terminals, and
//! `curl -d 'high water' http://localhost:8080/say` in another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate::{Error, Reply, Request, Response, Server, Status};

/// How long a client waits before it is told to ask again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clients that wait for the next message.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next_number: u64,
    replies: HashMap<u64, Reply>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `GET /next`: answered when there is a message.
    fn next(&self, request: &Request) -> Response {
        let (reply, response) = Response::later();
        let mut waiting = self.lock();
        let number = waiting.next_number;
        waiting.next_number += 1;
        waiting.replies.insert(number, reply);
        drop(waiting);
        // A client that goes is forgotten at once, and not at the next message.
        let board = self.clone();
        request.ending().then(move |_reason| {
            board.lock().replies.remove(&number);
        });
        response.or_after(PATIENCE, Response::new(Status::NO_CONTENT))
    }

    /// `POST /say`: the content is the message.
    fn say(&self, mut request: Request) -> Result<Response, Error> {
        let message = std::io::read_to_string(request.content())?;
        let replies = std::mem::take(&mut self.lock().replies);
        let told = replies
            .into_values()
            .map(|reply| reply.send(Response::text(message.clone())));
        let told = told.filter(|is_told| *is_told).count();
        Ok(Response::text(format!("{told} clients were told\n")))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let board = Board::default();
    let listeners = board.clone();
    let server = Server::builder()
        .function("next", move |request| Ok(listeners.next(&request)))
        .function("say", move |request| board.say(request))
        .config_text(
            "[[server]]
             listen = \"localhost:8080\"
             routes.\"GET /next\" = { handler = \"next\" }
             routes.\"POST /say\" = { handler = \"say\" }",
        )
        .start()?;
    eprintln!("listening at http://{}/", server.addresses()[0]);
    server.wait()?;
    Ok(())
}
