//! How code that works for a request learns that it should end: the client has gone, the server stops,
//! or a reload has taken the route away.
//!
//! ```text
//! client goes ─────────→ Life (one request) ─→ Ending: reason(), wait(), then()
//! server stops, reload ─→ RouteLife ──↗  of those requests that wait for it
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::runtime::catch_panic;

/// Why code that works for a request should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The client has broken the connection or ended its side of it, or was answered otherwise: the
    /// route's `timeout` is over, or a [fallback](super::Response::or_after) was due. No client will read
    /// what the handler gives.
    ClientGone,
    /// The server stops, or another process takes over from it. Exchanges in flight may go on for as
    /// long as `grace` allows; then they are cut.
    ServerStops,
    /// A reload has taken the route away, or has given it another handler or other options. Exchanges
    /// in flight may go on; a client that asks again meets the new configuration.
    RouteRetired,
}

/// Tells code that works for a request when it should end: see [`Request::ending`](super::Request::ending).
///
/// It is a handle that can be cloned and kept, beside a [`StreamWriter`](super::StreamWriter) or a
/// [`Reply`](super::Reply). A handler that waits for something can wait here:
///
/// ```
/// use std::time::Duration;
/// use tidegate::{Error, Request, Response};
///
/// # fn temperature() -> u32 { 20 }
/// /// Answers when it has become warm, but does not hold up a server that stops.
/// fn warm(request: Request) -> Result<Response, Error> {
///     let ending = request.ending();
///     while temperature() < 20 {
///         if ending.wait(Duration::from_secs(1)).is_some() {
///             return Ok(Response::new(tidegate::Status::SERVICE_UNAVAILABLE));
///         }
///     }
///     Ok(Response::text("warm\n"))
/// }
/// ```
#[derive(Clone)]
pub struct Ending(pub(crate) Arc<Life>);

impl Ending {
    /// The reason to end, if there is one by now.
    pub fn reason(&self) -> Option<EndReason> {
        self.0.reason()
    }

    /// Waits until there is a reason to end, at most for the time given: a `sleep` that ends early.
    /// Returns the reason, at once if there is one already.
    pub fn wait(&self, at_most: Duration) -> Option<EndReason> {
        self.0.list();
        // `None` lies beyond what the clock can tell.
        let deadline = Instant::now().checked_add(at_most);
        let mut told = self.0.lock();
        loop {
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if let Some(reason) = self.0.reason() {
                return Some(reason);
            }
            if left.is_zero() {
                return None;
            }
            let waited = self.0.changed.wait_timeout(told, left);
            told = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has `action` called once there is a reason to end: at once if there is one already, and never if
    /// the exchange ends in good order before.
    ///
    /// For code that waits without a thread, as with [`Response::later`](super::Response::later). It is
    /// called on a thread of the server, perhaps on an event loop, so it must not wait: let it remove
    /// something from a list, or send a reply.
    pub fn then(&self, action: impl FnOnce(EndReason) + Send + 'static) {
        self.0.list();
        let mut told = self.0.lock();
        match self.0.reason() {
            None if told.is_over => {}
            None => told.actions.push(Box::new(action)),
            Some(reason) => {
                drop(told);
                action(reason);
            }
        }
    }

    /// Says that there is that reason to end, to the code of this request alone: for tests of handlers.
    pub fn tell(&self, reason: EndReason) {
        let bit = match reason {
            EndReason::ClientGone => CLIENT_GONE,
            EndReason::ServerStops => SERVER_STOPS,
            EndReason::RouteRetired => ROUTE_RETIRED,
        };
        self.0.state.fetch_or(bit, Ordering::AcqRel);
        self.0.tell();
    }

    /// Whether the client has gone.
    pub(super) fn client_has_gone(&self) -> bool {
        self.0.state.load(Ordering::Acquire) & CLIENT_GONE != 0
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ending").field(&self.reason()).finish()
    }
}

/// Reasons, as bits of a state.
const CLIENT_GONE: u8 = 1;
const SERVER_STOPS: u8 = 2;
const ROUTE_RETIRED: u8 = 4;

/// The reason that counts, where there are several.
fn reason_of(state: u8) -> Option<EndReason> {
    let reasons = [
        (CLIENT_GONE, EndReason::ClientGone),
        (SERVER_STOPS, EndReason::ServerStops),
        (ROUTE_RETIRED, EndReason::RouteRetired),
    ];
    let found = reasons.iter().find(|(bit, _)| state & bit != 0);
    found.map(|(_, reason)| *reason)
}

type Action = Box<dyn FnOnce(EndReason) + Send>;

/// The life of one request, as far as the code that works for it wants to know.
pub(crate) struct Life {
    state: AtomicU8,
    told: Mutex<Told>,
    changed: Condvar,
    route: Arc<RouteLife>,
}

/// The code that is to be told of a reason.
#[derive(Default)]
struct Told {
    actions: Vec<Action>,
    /// The route knows of this request, and tells it.
    is_listed: bool,
    /// The exchange has ended in good order.
    is_over: bool,
}

impl Life {
    pub(crate) fn new(route: Arc<RouteLife>) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(0),
            told: Mutex::default(),
            changed: Condvar::new(),
            route,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // No code of others runs under the lock, and every change is a single step.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reason(&self) -> Option<EndReason> {
        let own = self.state.load(Ordering::Acquire);
        reason_of(own | self.route.state.load(Ordering::Acquire))
    }

    /// Says that the client has gone.
    pub(crate) fn client_gone(&self) {
        self.state.fetch_or(CLIENT_GONE, Ordering::AcqRel);
        self.tell();
    }

    /// Says that the exchange has ended in good order: no action is called any more, and what the
    /// actions hold is let go.
    pub(crate) fn end(&self) {
        let mut told = self.lock();
        told.is_over = true;
        let actions = std::mem::take(&mut told.actions);
        drop(told);
        let _ = catch_panic(|| drop(actions));
    }

    /// Has the route tell this request when it is retired, or the server stops.
    fn list(self: &Arc<Self>) {
        let mut told = self.lock();
        if !std::mem::replace(&mut told.is_listed, true) {
            let mut listed = self.route.lock();
            listed.insert(Arc::as_ptr(self) as usize, Arc::downgrade(self));
        }
    }

    /// Tells the code that waits, if there is a reason.
    fn tell(&self) {
        let mut told = self.lock();
        let Some(reason) = self.reason() else { return };
        let actions = std::mem::take(&mut told.actions);
        drop(told);
        self.changed.notify_all();
        for action in actions {
            // The panic hook has reported it; the next action is of other code, perhaps.
            let _ = catch_panic(|| action(reason));
        }
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Life").field(&self.reason()).finish()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.lock().is_listed {
            self.route
                .lock()
                .remove(&(std::ptr::from_ref(self) as usize));
        }
    }
}

/// The life of a route with a handler, from the generation that first has it to the last.
#[derive(Default)]
pub(crate) struct RouteLife {
    state: AtomicU8,
    /// The requests that want to be told, by address.
    listed: Mutex<HashMap<usize, Weak<Life>>>,
}

impl RouteLife {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Weak<Life>>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that no generation has the route any more; see [`tell`](Self::tell).
    pub(crate) fn retire(&self) {
        self.state.fetch_or(ROUTE_RETIRED, Ordering::AcqRel);
    }

    /// Takes note that a generation has the route again: a reload was taken back.
    pub(crate) fn revive(&self) {
        self.state.fetch_and(!ROUTE_RETIRED, Ordering::AcqRel);
    }

    /// Takes note that the server stops; see [`tell`](Self::tell).
    pub(crate) fn stop(&self) {
        self.state.fetch_or(SERVER_STOPS, Ordering::AcqRel);
    }

    /// Whether a request wants to be told.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Tells the requests that want to be told, if there is a reason. It runs code of the program.
    pub(crate) fn tell(&self) {
        let listed: Vec<Arc<Life>> = self.lock().values().filter_map(Weak::upgrade).collect();
        for life in listed {
            life.tell();
        }
    }
}

impl fmt::Debug for RouteLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteLife").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn request(route: &Arc<RouteLife>) -> Ending {
        Ending(Life::new(Arc::clone(route)))
    }

    #[test]
    fn each_request_of_a_route_is_told_once_and_no_other() {
        let (route, other) = (Arc::<RouteLife>::default(), Arc::<RouteLife>::default());
        let (tells, told) = mpsc::channel();
        let endings = [&route, &route, &other].map(request);
        for (index, ending) in endings.iter().enumerate() {
            let tells = tells.clone();
            ending.then(move |reason| tells.send((index, reason)).expect("the test listens"));
        }
        endings[0].0.client_gone();
        route.retire();
        route.tell();
        route.stop();
        route.tell();
        let told: Vec<_> = told.try_iter().collect();
        let expected = [(0, EndReason::ClientGone), (1, EndReason::RouteRetired)];
        assert_eq!(told, expected);
        assert_eq!(endings[2].reason(), None);
        drop(endings);
        assert!(route.lock().is_empty(), "what is gone is not listed");
    }

    #[test]
    fn a_late_action_is_called_at_once_and_none_after_a_good_end() {
        let route = Arc::<RouteLife>::default();
        let (early, over) = (request(&route), request(&route));
        let (tells, told) = mpsc::channel();
        let tell = |tells: &mpsc::Sender<_>| {
            let tells = tells.clone();
            move |reason| tells.send(reason).expect("the test listens")
        };
        over.then(tell(&tells));
        over.0.end();
        over.then(tell(&tells));
        route.stop();
        route.tell();
        assert!(told.try_recv().is_err(), "its exchange was over");
        early.then(tell(&tells));
        assert_eq!(told.try_recv(), Ok(EndReason::ServerStops));
        assert_eq!(early.wait(Duration::MAX), Some(EndReason::ServerStops));
    }

    #[test]
    fn a_wait_ends_with_the_reason() {
        let route = Arc::<RouteLife>::default();
        let ending = request(&route);
        assert_eq!(ending.wait(Duration::ZERO), None);
        let waiting = std::thread::spawn(move || ending.wait(Duration::MAX));
        route.retire();
        route.tell();
        let reason = waiting.join().expect("it returns");
        assert_eq!(reason, Some(EndReason::RouteRetired));
        route.revive();
        assert_eq!(request(&route).reason(), None);
    }

    #[test]
    fn a_panic_of_an_action_harms_no_other() {
        let route = Arc::<RouteLife>::default();
        let ending = request(&route);
        let (tells, told) = mpsc::channel();
        ending.then(|_| std::panic::resume_unwind(Box::new("clumsy")));
        ending.then(move |_| tells.send(()).expect("the test listens"));
        route.stop();
        route.tell();
        assert!(told.try_recv().is_ok());
    }
}
