//! Responses that are decided later: long polls, which hold no thread.

use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::support::{Client, until};
use super::{Embedded, alone, configuration, get, ran_captured, request};
use tidegate::{EndReason, Error, Handler, Handlers, Reply, Request, Response, Status};

/// A long poll: each request gives its [`Reply`] to the test.
struct Poll {
    replies: Mutex<mpsc::Sender<Reply>>,
    never_waits: bool,
    /// The response of the handler, from the undecided one.
    change: fn(Response) -> Response,
}

impl Handler for Poll {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        if request.query() == Some("large") {
            return Ok(Response::bytes("a/b", vec![0; 8 * 1024]));
        }
        let (reply, response) = Response::later();
        let replies = self.replies.lock().expect("unharmed");
        replies.send(reply).expect("the test listens");
        Ok((self.change)(response))
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

const ONE_THREAD: &str = "blocking = { threads = 1, queue = 1 }";

/// A server with that handler at `/`, and the replies that its requests wait for.
fn polled(
    never_waits: bool,
    change: fn(Response) -> Response,
    keys: &str,
) -> (Embedded, mpsc::Receiver<Reply>) {
    let (sender, replies) = mpsc::channel();
    let sender = Mutex::new(sender);
    let mut handlers = Handlers::new();
    handlers.register("poll", move |_| {
        Ok(Poll {
            replies: Mutex::new(sender.lock().expect("unharmed").clone()),
            never_waits,
            change,
        })
    });
    let route = format!("'/' = {{ handler = 'poll'{keys} }}");
    (Embedded::start(handlers, ONE_THREAD, &route), replies)
}

fn as_it_is(response: Response) -> Response {
    response
}

#[test]
fn an_answer_is_decided_by_another_thread_and_the_handlers_thread_is_free() {
    for never_waits in [false, true] {
        let (server, replies) = polled(never_waits, as_it_is, "");
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        let waiting: Vec<Reply> = clients
            .iter_mut()
            .map(|client| {
                client.send(get("/"));
                // One after the other, because there is one thread and one place before it.
                replies.recv().expect("it is asked")
            })
            .collect();
        for (index, reply) in waiting.into_iter().enumerate().rev() {
            let text = Response::text(index.to_string());
            assert!(reply.send(text.status(Status::CREATED)), "{never_waits}");
            let response = clients[index].response();
            assert_eq!((response.status, response.text()), (201, index.to_string()));
        }
        clients[0].send(get("/"));
        let reply = replies.recv().expect("the connection goes on");
        assert!(reply.send(Response::text("")));
        assert_eq!(clients[0].response().status, 200);
    }
}

/// Content of every origin, conditions, HEAD: as if the handler had returned it.
#[test]
fn what_is_decided_is_treated_like_what_is_returned() {
    for never_waits in [false, true] {
        let (server, replies) = polled(never_waits, as_it_is, "");
        let mut client = server.connect();
        let mut decide = |request: String, response: Response| {
            client.send(&request);
            assert!(replies.recv().expect("it is asked").send(response));
            if request.starts_with("HEAD") {
                client.response_to_head()
            } else {
                client.response()
            }
        };
        let tagged = || Response::text("abc").entity_tag("1");
        let known = request("GET", "/", "If-None-Match: \"1\"\r\n");
        assert_eq!(decide(known, tagged()).status, 304);
        let part = decide(request("GET", "/", "Range: bytes=1-1\r\n"), tagged());
        assert_eq!((part.status, part.text()), (206, "b".to_owned()));
        assert_eq!(decide(request("HEAD", "/", ""), tagged()).status, 200);
        let made = || Response::stream(|writer| writer.write_all(b"made"));
        assert_eq!(decide(get("/"), made()).text(), "made");
        assert_eq!(decide(request("HEAD", "/", ""), made()).status, 200);
        let (mut writer, response) = Response::channel();
        writer.write_all(b"channel").expect("it is there");
        drop(writer);
        assert_eq!(decide(get("/"), response).text(), "channel");
        let (reply, later) = Response::later();
        assert!(reply.send(Response::text("once more")));
        assert_eq!(decide(get("/"), later).text(), "once more");
        let posted = request("POST", "/", "Content-Length: 3\r\n") + "abc";
        assert_eq!(decide(posted, Response::text("taken")).text(), "taken");
    }
}

#[test]
fn a_wrapper_changes_a_response_before_it_is_decided() {
    let change = |response: Response| {
        let response = response.field("X-Wrapped", "yes");
        response.map(|decided| match decided.status_code() {
            Status::NO_CONTENT => decided,
            _ => decided.status(Status::ACCEPTED),
        })
    };
    let (server, replies) = polled(false, change, "");
    let mut client = server.connect();
    let nothing = Response::new(Status::NO_CONTENT);
    for (decided, status) in [(Response::text("a"), 202), (nothing, 204)] {
        client.send(get("/"));
        let reply = replies.recv().expect("it is asked");
        assert!(reply.send(decided));
        let response = client.response();
        let wrapped = response.field("X-Wrapped");
        assert_eq!((response.status, wrapped), (status, Some("yes")));
    }
}

#[test]
fn a_reply_that_is_dropped_or_fails_or_comes_too_late_is_answered_for() {
    let name = "later::a_reply_that_is_dropped_or_fails_or_comes_too_late_is_answered_for";
    match alone(name) {
        None => decide_badly(),
        Some(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{told}");
            for reason in [
                "its reply was dropped",
                "did not decide its answer within 100ms",
            ] {
                assert_eq!(told.matches(reason).count(), 2, "{reason}: {told}");
            }
            assert!(!told.contains("thread is lost"), "{told}");
        }
    }
}

fn decide_badly() {
    for never_waits in [false, true] {
        let (server, replies) = polled(never_waits, as_it_is, ", timeout = '100ms'");
        let mut client = server.connect();
        client.send(get("/"));
        drop(replies.recv().expect("it is asked"));
        assert_eq!(client.response().status, 500);
        client.send(get("/"));
        let reply = replies.recv().expect("it is asked");
        assert!(reply.fail(Error::new(Status::CONFLICT, "another was faster")));
        assert_eq!(client.response().status, 409);
        client.send(get("/"));
        let late = replies.recv().expect("it is asked");
        assert_eq!(client.response().status, 504);
        assert!(late.client_has_gone());
        assert!(!late.send(Response::text("too late")));
        assert_eq!(server.blocking("lost"), 0);
    }
}

#[test]
fn a_fallback_is_sent_when_its_time_or_the_routes_is_up() {
    let own: fn(Response) -> Response = |response| {
        let fallback = Response::new(Status::NO_CONTENT);
        response
            .or_after(Duration::from_millis(1), fallback)
            .field("X-Poll", "1")
    };
    let routes: fn(Response) -> Response = |response| {
        let fallback = Response::text("nothing new");
        response.or_after(Duration::MAX, fallback)
    };
    for (change, keys, status) in [(own, "", 204), (routes, ", timeout = '10ms'", 200)] {
        for never_waits in [false, true] {
            let (server, replies) = polled(never_waits, change, keys);
            let mut client = server.connect();
            client.send(get("/"));
            let reply = replies.recv().expect("it is asked");
            let response = client.response();
            assert_eq!(response.status, status);
            assert_eq!(response.field("X-Poll").is_some(), status == 204);
            assert!(!reply.send(Response::text("too late")));
        }
    }
}

/// A list of replies would grow with each poll that came to nothing.
#[test]
fn a_fallback_tells_the_code_that_would_decide() {
    let waiting = Arc::<Mutex<Vec<Reply>>>::default();
    let (tells, told) = mpsc::channel();
    let (registry, tells) = (Arc::clone(&waiting), Mutex::new(tells));
    let mut handlers = Handlers::new();
    handlers.register("poll", move |_| {
        let registry = Registry {
            waiting: Arc::clone(&registry),
            told: Mutex::new(tells.lock().expect("unharmed").clone()),
            never_waits: false,
        };
        Ok(move |request: Request| {
            let response = registry.handle(request)?;
            let fallback = Response::new(Status::NO_CONTENT);
            Ok(response.or_after(Duration::from_millis(1), fallback))
        })
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'poll' }");
    assert_eq!(server.connect().exchange(get("/")).status, 204);
    assert_eq!(told.recv(), Ok(EndReason::ClientGone));
    assert!(waiting.lock().expect("unharmed").is_empty());
}

/// Long polls would hold up a stop for all of `grace`, and a reload would not reach their clients.
#[test]
fn a_fallback_is_sent_when_the_server_stops_or_the_route_is_retired() {
    let patient = |response: Response| {
        let fallback = Response::new(Status::NO_CONTENT);
        response.or_after(Duration::from_secs(3600), fallback)
    };
    for is_reloaded in [true, false] {
        let (server, replies) = polled(false, patient, ", timeout = '1h'");
        let mut client = server.connect();
        client.send(get("/"));
        let reply = replies.recv().expect("it is asked");
        if is_reloaded {
            let gone = configuration(ONE_THREAD, "'/' = { respond = 'gone' }");
            server.0.reload_text(gone).expect("it is good");
            assert_eq!(client.response().status, 204);
            assert_eq!(client.exchange(get("/")).text(), "gone");
        } else {
            server.0.drain(Duration::MAX).expect("it runs");
            assert_eq!(client.response().status, 204);
        }
        assert!(!reply.send(Response::text("too late")));
    }
}

/// A long poll that keeps a list of replies, from which clients that go are taken off.
struct Registry {
    waiting: Arc<Mutex<Vec<Reply>>>,
    told: Mutex<mpsc::Sender<EndReason>>,
    never_waits: bool,
}

impl Handler for Registry {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        let (reply, response) = Response::later();
        self.waiting.lock().expect("unharmed").push(reply);
        let waiting = Arc::clone(&self.waiting);
        let told = self.told.lock().expect("unharmed").clone();
        request.ending().then(move |reason| {
            waiting.lock().expect("unharmed").clear();
            told.send(reason).expect("the test listens");
        });
        Ok(response)
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

#[test]
fn a_client_that_goes_is_told_without_being_asked_about() {
    for never_waits in [false, true] {
        let waiting = Arc::<Mutex<Vec<Reply>>>::default();
        let (tells, told) = mpsc::channel();
        let (registry, tells) = (Arc::clone(&waiting), Mutex::new(tells));
        let mut handlers = Handlers::new();
        handlers.register("poll", move |_| {
            Ok(Registry {
                waiting: Arc::clone(&registry),
                told: Mutex::new(tells.lock().expect("unharmed").clone()),
                never_waits,
            })
        });
        let server = Embedded::start(handlers, ONE_THREAD, "'/' = { handler = 'poll' }");
        let mut client = server.connect();
        client.send(get("/"));
        until("it waits", || {
            (waiting.lock().expect("unharmed").len() == 1).then_some(())
        });
        drop(client);
        assert_eq!(told.recv(), Ok(EndReason::ClientGone));
        assert!(waiting.lock().expect("unharmed").is_empty());
    }
}

/// Responses before it fill the socket, so that the request that waits is looked at a second time. Its
/// handler is called once all the same.
#[test]
fn a_handler_that_never_waits_is_called_once_for_each_request() {
    let (server, replies) = polled(true, as_it_is, "");
    let mut client = server.connect();
    let round = get("/?large").repeat(7) + &get("/");
    let rounds = 200;
    client.send(round.repeat(rounds));
    for number in 0..rounds {
        for _ in 0..7 {
            assert_eq!(client.response().status, 200, "round {number}");
        }
        let reply = replies.recv().expect("it is asked");
        assert!(reply.send(Response::text("later")));
        assert_eq!(client.response().text(), "later", "round {number}");
    }
    assert!(replies.try_recv().is_err(), "each was asked once");
}

#[test]
fn a_panic_in_a_change_is_answered_500() {
    if ran_captured("later::a_panic_in_a_change_is_answered_500") {
        return;
    }
    let clumsy = |response: Response| {
        let fallback = Response::text("nothing new");
        let response = response.or_after(Duration::from_millis(1), fallback);
        response.map(|_| std::panic::resume_unwind(Box::new("clumsy")))
    };
    let (server, replies) = polled(true, clumsy, "");
    let mut client = server.connect();
    client.send(get("/"));
    let reply = replies.recv().expect("it is asked");
    assert_eq!(client.response().status, 500);
    drop(reply);
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

/// How much memory of this process is in use, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let line = line.expect("it is told");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// How many descriptors this process may have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.expect("it is told").parse().unwrap_or(1 << 20)
}

/// 500 long polls were answered 504, and other routes starved with them. Now up to 5,000 wait, as many as
/// the limit of descriptors allows, and the pool has one thread.
#[test]
fn thousands_of_long_polls_wait_without_a_thread_each() {
    let name = "later::thousands_of_long_polls_wait_without_a_thread_each";
    match alone(name) {
        None => hold_long_polls(),
        Some(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            // `--nocapture` shows the figures.
            eprint!("{told}");
            assert!(output.status.success(), "{told}");
        }
    }
}

fn hold_long_polls() {
    let waiting = Arc::<Mutex<Vec<Reply>>>::default();
    let listening = Arc::clone(&waiting);
    let mut handlers = Handlers::new();
    handlers.function("poll", move |_| {
        let (reply, response) = Response::later();
        listening.lock().expect("unharmed").push(reply);
        Ok(response)
    });
    handlers.function("quick", |_| Ok(Response::text("quick")));
    let routes = "'/poll' = { handler = 'poll', timeout = '1h' }\n'/quick' = { handler = 'quick' }";
    let pool = "blocking = { threads = 1, queue = 100 }";
    let server = Embedded::start(handlers, pool, routes);
    assert_eq!(server.connect().exchange(get("/quick")).text(), "quick");
    // Two descriptors for each client, because both ends are in this process.
    let count = (descriptors().saturating_sub(100) / 2).min(5000);
    assert!(count >= 1000, "`ulimit -n` allows only {count} clients");
    let is_waiting = |number: usize| waiting.lock().expect("unharmed").len() >= number;
    let (threads_before, memory_before) = (threads(), memory());
    let mut clients: Vec<Client> = Vec::new();
    for number in 1..=count {
        let mut client = server.connect();
        client.send(get("/poll"));
        clients.push(client);
        // The queue before the one thread has an end.
        if number % 50 == 0 || number == count {
            until("they wait", || is_waiting(number).then_some(()));
        }
    }
    let each = (memory() - memory_before) * 1024 / count as u64;
    eprintln!("{count} long polls: {each} octets each, their clients' ends included");
    assert_eq!(threads(), threads_before, "none holds a thread");
    assert_eq!(server.connect().exchange(get("/quick")).text(), "quick");
    for reply in waiting.lock().expect("unharmed").drain(..) {
        assert!(reply.send(Response::text("high water")));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "high water");
    }
}
