//! How code that works for a request learns that it should end, and how handlers end.

use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::support::until;
use super::{Embedded, configuration, get, ran_captured};
use tidegate::{EndReason, Ending, Error, Handler, Handlers, Request, Response, StreamWriter};

/// A handler that waits for a reason to end, and answers with it; at `/stream` it waits in a stream.
fn waiting(begun: mpsc::Sender<Ending>) -> Handlers {
    let begun = Mutex::new(begun);
    let mut handlers = Handlers::new();
    handlers.function("wait", move |request| {
        let ending = request.ending();
        let begun = begun.lock().expect("unharmed").clone();
        if request.path() == "/stream" {
            return Ok(Response::stream(move |writer| {
                begun.send(ending.clone()).expect("the test listens");
                let reason = ending.wait(Duration::MAX);
                write!(writer, "{reason:?}")
            }));
        }
        begun.send(ending.clone()).expect("the test listens");
        let reason = ending.wait(Duration::MAX);
        Ok(Response::text(format!("{reason:?}")))
    });
    handlers
}

const ROUTES: &str = "'/wait' = { handler = 'wait', timeout = '1h' }\n\
                      '/stream' = { handler = 'wait', timeout = '1h' }";

#[test]
fn a_handler_that_waits_or_streams_learns_that_the_server_stops() {
    let (begins, begun) = mpsc::channel();
    let server = Embedded::start(waiting(begins), "", ROUTES);
    let mut clients = ["/wait", "/stream"].map(|target| {
        let mut client = server.connect();
        client.send(get(target));
        begun.recv().expect("it begins");
        client
    });
    // Without the signal this would not end.
    server.0.drain(Duration::MAX).expect("it runs");
    for client in &mut clients {
        assert_eq!(client.response().text(), "Some(ServerStops)");
    }
}

#[test]
fn a_handler_learns_that_a_reload_has_retired_its_route_and_no_other() {
    let (begins, begun) = mpsc::channel();
    let server = Embedded::start(waiting(begins), "", ROUTES);
    let reload = |routes: &str| {
        let reloaded = server.0.reload_text(configuration("", routes));
        reloaded.expect("it is good")
    };
    let mut clients = ["/wait", "/stream"].map(|target| {
        let mut client = server.connect();
        client.send(get(target));
        let ending = begun.recv().expect("it begins");
        (client, ending)
    });
    // `/stream` stays, with another `timeout`.
    reload("'/stream' = { handler = 'wait', timeout = '2h' }\n'/wait' = { respond = 'new' }");
    let (client, _) = &mut clients[0];
    assert_eq!(client.response().text(), "Some(RouteRetired)");
    assert_eq!(client.exchange(get("/wait")).text(), "new");
    let (client, ending) = &mut clients[1];
    assert_eq!(ending.reason(), None);
    reload("'/wait' = { respond = 'new' }");
    assert_eq!(client.response().text(), "Some(RouteRetired)");
    // A route that returns begins anew.
    reload(ROUTES);
    let mut client = server.connect();
    client.send(get("/wait"));
    assert_eq!(begun.recv().expect("it begins").reason(), None);
    drop(client);
}

/// Gives the writer of each response to the test.
struct Subscribe {
    subscribers: Mutex<mpsc::Sender<(StreamWriter, Ending)>>,
    never_waits: bool,
}

impl Handler for Subscribe {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        let (writer, response) = Response::channel();
        let subscribers = self.subscribers.lock().expect("unharmed");
        let subscriber = (writer, request.ending());
        subscribers.send(subscriber).expect("the test listens");
        Ok(response)
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

#[test]
fn the_writer_of_a_channel_learns_that_its_client_has_gone_or_its_route() {
    for never_waits in [false, true] {
        let (sender, subscribers) = mpsc::channel();
        let sender = Mutex::new(sender);
        let mut handlers = Handlers::new();
        handlers.register("events", move |_| {
            let subscribers = Mutex::new(sender.lock().expect("unharmed").clone());
            Ok(Subscribe {
                subscribers,
                never_waits,
            })
        });
        let server = Embedded::start(handlers, "", "'/' = { handler = 'events' }");
        let [goes, stays] = [(); 2].map(|()| {
            let mut client = server.connect();
            client.send(get("/"));
            assert_eq!(client.response_head().status, 200);
            (client, subscribers.recv().expect("it is asked"))
        });
        let (client, (_writer, ending)) = goes;
        drop(client);
        assert_eq!(ending.wait(Duration::MAX), Some(EndReason::ClientGone));
        let (mut client, (writer, ending)) = stays;
        assert_eq!(ending.reason(), None);
        let (tells, told) = mpsc::channel();
        ending.then(move |reason| {
            tells.send(reason).expect("the test listens");
            // The content is complete.
            drop(writer);
        });
        let without = configuration("", "'/' = { respond = 'new' }");
        server.0.reload_text(without).expect("it is good");
        assert_eq!(told.recv(), Ok(EndReason::RouteRetired));
        assert_eq!(client.read(5), b"0\r\n\r\n");
        assert_eq!(client.exchange(get("/")).text(), "new");
    }
}

/// A handler whose `drop` waits until the test lets it go on.
struct Clinging(Arc<Mutex<mpsc::Receiver<()>>>);

impl Handler for Clinging {
    fn handle(&self, _: Request) -> Result<Response, Error> {
        Ok(Response::text("well"))
    }
}

impl Drop for Clinging {
    fn drop(&mut self) {
        let _ = self.0.lock().expect("unharmed").recv();
    }
}

/// The supervisor dropped handlers itself: a `drop` that took its time held up reloads, status and stop.
#[test]
fn a_handler_whose_drop_waits_holds_up_nothing() {
    let (go, gate) = mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    let mut handlers = Handlers::new();
    handlers.register("clinging", move |_| Ok(Clinging(Arc::clone(&gate))));
    let server = Embedded::start(handlers, "", "'/' = { handler = 'clinging' }");
    assert_eq!(server.connect().exchange(get("/")).text(), "well");
    // One handler is retired, and one was made for a configuration that its test refuses.
    let without = configuration("", "'/' = { respond = 'gone' }");
    let reloaded = server.0.reload_text(without.clone());
    reloaded.expect("it is good");
    let test = "[[test]]\nrequest = 'GET /'\nexpect.route = '/b'\n";
    let refused = configuration("", "'/' = { handler = 'clinging' }") + test;
    let refused = server.0.reload_text(refused);
    refused.expect_err("the test fails");
    let reloaded = server.0.reload_text(without);
    reloaded.expect("the supervisor goes on");
    assert!(server.0.status().is_some());
    for _ in 0..2 {
        go.send(()).expect("it waits");
    }
    server.0.drain(Duration::ZERO).expect("it ends");
}

/// Panics when it is dropped, without the hook, which would fill the screen.
struct Clumsy;

impl Drop for Clumsy {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("not going"));
    }
}

/// Answers with a stream that is not made for HEAD.
struct Stream {
    never_waits: bool,
}

impl Handler for Stream {
    fn handle(&self, _: Request) -> Result<Response, Error> {
        let clumsy = Clumsy;
        Ok(Response::stream(move |writer| {
            let _held = &clumsy;
            writer.write_all(b"well")
        }))
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

/// What a response holds of the program's may panic when it is dropped without having been used.
#[test]
fn a_panic_of_what_a_response_holds_harms_nothing() {
    if ran_captured("endings::a_panic_of_what_a_response_holds_harms_nothing") {
        return;
    }
    for never_waits in [false, true] {
        let mut handlers = Handlers::new();
        handlers.register("stream", move |_| Ok(Stream { never_waits }));
        let server = Embedded::start(handlers, "", "'/' = { handler = 'stream' }");
        let mut client = server.connect();
        for _ in 0..2 {
            client.send(super::request("HEAD", "/", ""));
            assert_eq!(client.response_to_head().status, 200, "{never_waits}");
        }
        until("the thread is free", || {
            (server.blocking("running") == 0).then_some(())
        });
    }
}
