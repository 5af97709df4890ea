//! The exporter: a thread that sends the spans to the collector, while a generation has one.
//!
//! ```text
//!        ┌─────────────────────────────────────────────────────────────┐
//!        ▼                                                              │
//!   wait: a batch is whole, or a span has waited 5 s, or a command      │
//!        ▼                                                              │
//!   send the batch ─ taken, or refused for good ─────────────────────→ ─┤
//!        ▲ │ later                                                      │
//!        └─┴ pause ─ too often: dropped ──────────────────────────────→ ┘
//! ```
//!
//! Meanwhile the queue fills, and what does not fit is dropped. A collector that is down costs a request
//! nothing.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::collector::{Collector, Sent};
use super::span::Span;
use super::spans::Opening;
use super::{Spans, Tracing};
use crate::config::model;
use crate::log::diagnostic;
use crate::runtime::{
    self, BlockingPool, Either, EventQueue, Receiver, Sender, catch_panic, channel, either,
    spawn_thread,
};

/// How long the last spans may take, when the server stops.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// How often a batch is sent that the collector wants later.
const MAX_ATTEMPTS: u32 = 5;

/// The pause before the second attempt, if the collector names none. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, whatever the collector says.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Threads that look the collector's name up, and how much may wait for them.
const THREADS: usize = 1;
const QUEUE: usize = 4;

/// How long no further diagnostic is written.
const QUIET: Duration = Duration::from_secs(60);

/// The thread, if there is one; the supervisor holds it.
#[derive(Default)]
pub(crate) struct Exporter(Option<Running>);

struct Running {
    commands: Sender<Command>,
    /// Is disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
}

enum Command {
    /// Send to the collector of these options; `None`: send what waits, and end.
    Follow(Option<Box<model::Tracing>>),
    /// Send what waits within this time, and end.
    Finish(Duration),
}

impl Exporter {
    /// Has the spans go where the generation with `tracing` says; `None`: it records none. Spans that wait
    /// are sent to the next collector, or, if there is none, to the last.
    pub(crate) fn adopt(&mut self, tracing: Option<&Arc<Tracing>>) {
        let is_open = |running: &Running| running.commands.is_open();
        let running = self.0.take().filter(is_open);
        let Some(tracing) = tracing else {
            if let Some(running) = running {
                running.commands.send(Command::Follow(None));
            }
            return;
        };
        let running = running.or_else(|| start(&tracing.spans));
        if let Some(running) = &running {
            let options = Box::new(tracing.options.clone());
            running.commands.send(Command::Follow(Some(options)));
        }
        self.0 = running;
    }

    /// Ends the thread, and waits until it has sent what waits, but not for long. No span may come after.
    pub(crate) fn finish(self) {
        if let Some(running) = self.0 {
            running.commands.send(Command::Finish(LAST_PATIENCE));
            // It is disconnected, or the time is over: both are the end. The thread has its time from when it
            // is told, and needs a moment more to say what it has dropped.
            let patience = LAST_PATIENCE + Duration::from_millis(500);
            let _ = running.ended.recv_timeout(patience);
        }
    }
}

/// Starts the thread. Without it, spans are dropped.
fn start(spans: &Arc<Spans>) -> Option<Running> {
    let (commands, received) = channel();
    let (woken, wakes) = channel();
    let (end, ended) = mpsc::channel::<()>();
    let opening = spans.open(woken);
    let of_thread = Arc::clone(spans);
    let started = EventQueue::new().and_then(|queue| {
        spawn_thread("tidegate-trace", move || {
            let spans = (Arc::clone(&of_thread), opening);
            let work = Work::new(spans, received, wakes);
            let worked = catch_panic(|| runtime::run_on(queue, work.run()));
            of_thread.close(opening);
            match worked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tell(&error),
                Err(panic) => tell(&panic),
            }
            drop(end);
        })
    });
    match started {
        Ok(_) => Some(Running { commands, ended }),
        Err(error) => {
            spans.close(opening);
            tell(&error);
            None
        }
    }
}

fn tell(why: &dyn std::fmt::Display) {
    diagnostic::error(format_args!(
        "tracing: no thread sends spans, until a reload: {why}"
    ));
}

/// What the thread does.
struct Work {
    spans: Arc<Spans>,
    opening: Opening,
    commands: Receiver<Command>,
    wakes: Receiver<()>,
    pool: Arc<BlockingPool>,
    /// `None`: the collector cannot be asked, and the log says why.
    collector: Option<Collector>,
    /// When the thread is to be done, once it is to end.
    end: Option<Instant>,
    complaints: Complaints,
}

impl Work {
    fn new(
        (spans, opening): (Arc<Spans>, Opening),
        commands: Receiver<Command>,
        wakes: Receiver<()>,
    ) -> Self {
        Self {
            spans,
            opening,
            commands,
            wakes,
            pool: BlockingPool::new(THREADS, QUEUE),
            collector: None,
            end: None,
            complaints: Complaints::default(),
        }
    }

    async fn run(mut self) {
        while self.end.is_none() {
            match self.spans.take_due() {
                Ok(batch) => self.deliver(batch).await,
                Err(wait) => self.wait(wait).await,
            }
            self.complain_of_overflow();
        }
        self.spans.close(self.opening);
        loop {
            let batch = self.spans.take_any(self.opening);
            if batch.is_empty() {
                break;
            }
            self.deliver(batch).await;
        }
        self.complain_of_overflow();
        self.complaints.tell_rest();
    }

    /// Waits for a command or a span, at most so long.
    async fn wait(&mut self, longest: Option<Duration>) {
        let news = either(self.commands.receive(), self.wakes.receive());
        let news = match longest {
            Some(longest) => runtime::timeout(longest, news).await.ok(),
            None => Some(news.await),
        };
        if let Some(Either::First(command)) = news {
            self.run_command(command);
        }
    }

    /// Carries a command out. Without one the supervisor is gone, and waits no longer.
    fn run_command(&mut self, command: Option<Command>) {
        let finish = |within| Some(Instant::now() + within);
        match command {
            Some(Command::Follow(Some(options))) => self.follow(&options),
            Some(Command::Follow(None)) => self.end = finish(LAST_PATIENCE),
            Some(Command::Finish(within)) => self.end = finish(within),
            None => self.end = finish(Duration::ZERO),
        }
    }

    /// Sends to the collector of `options` from now on. It is made anew even for the same options, because the
    /// files of certificates that they name may have changed; if that fails, the collector before goes on.
    fn follow(&mut self, options: &model::Tracing) {
        match Collector::new(options, &self.pool) {
            Ok(collector) => self.collector = Some(collector),
            Err(why) => {
                self.collector = self.collector.take().filter(|known| known.is_of(options));
                let outcome = match self.collector {
                    Some(_) => "the collector is verified as before",
                    None => "spans are dropped",
                };
                diagnostic::error(format_args!("tracing: {outcome}: {why}"));
            }
        }
    }

    /// Sends a batch until the collector has it, or it is given up.
    async fn deliver(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=MAX_ATTEMPTS {
            let (wait, why) = match self.send(&batch).await {
                Sent::Taken { refused, why } => {
                    let refused = refused.min(count);
                    self.spans.note_exported(count - refused);
                    if refused > 0 {
                        let why = format!("the collector refuses a part: {why}");
                        self.drop_spans(refused, &why);
                    }
                    return;
                }
                Sent::Later(wait, why) => (wait, why),
                Sent::Failed(why) => return self.drop_spans(count, &why),
            };
            if attempt == MAX_ATTEMPTS || self.end.is_some() {
                return self.drop_spans(count, &why);
            }
            self.pause(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
    }

    /// Sends a batch once. Commands are taken meanwhile; once the thread is to end, nothing is waited for
    /// beyond that.
    async fn send(&mut self, batch: &[Span]) -> Sent {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Sent::Failed("the server ends before it was sent".to_owned());
        }
        // The collector of the next configuration must not take its place while it is asked.
        let Some(collector) = self.collector.take() else {
            return Sent::Failed("the collector cannot be asked".to_owned());
        };
        let mut next = None;
        let outcome = {
            let mut sending = pin!(collector.send(batch));
            loop {
                let command = async {
                    match self.end {
                        None => Some(self.commands.receive().await),
                        Some(end) => {
                            runtime::sleep(end.saturating_duration_since(Instant::now())).await;
                            None
                        }
                    }
                };
                match either(sending.as_mut(), command).await {
                    Either::First(sent) => break sent,
                    Either::Second(None) => {
                        break Sent::Failed("the server ends before it has answered".to_owned());
                    }
                    Either::Second(Some(Some(Command::Follow(Some(options))))) => {
                        next = Some(options);
                    }
                    Either::Second(Some(command)) => self.run_command(command),
                }
            }
        };
        self.collector = Some(collector);
        if let Some(options) = next {
            self.follow(&options);
        }
        outcome
    }

    /// Waits before the next attempt, unless the thread is to end.
    async fn pause(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        while self.end.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            match runtime::timeout(left, self.commands.receive()).await {
                Ok(command) => self.run_command(command),
                Err(_) => return,
            }
        }
    }

    fn drop_spans(&mut self, count: u64, why: &str) {
        self.spans.note_dropped(count);
        self.complaints.add(count, why);
    }

    fn complain_of_overflow(&mut self) {
        let count = self.spans.take_overflown();
        if count > 0 {
            self.complaints.add(
                count,
                "the collector does not take them as fast as they come",
            );
        }
    }
}

/// Diagnostics about spans that were dropped: one a minute, and one at the end.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    /// Spans that no diagnostic has told of.
    untold: u64,
    /// Why the latest of them were dropped.
    why: String,
}

impl Complaints {
    fn add(&mut self, count: u64, why: &str) {
        match self.admit(count, Instant::now()) {
            Some(count) => Self::tell(count, why),
            None => why.clone_into(&mut self.why),
        }
    }

    /// Tells of what was dropped since the last diagnostic, however short ago that was: the thread ends.
    fn tell_rest(&mut self) {
        if let Some((count, why)) = self.take_rest() {
            Self::tell(count, &why);
        }
    }

    /// How many spans no diagnostic has told of, and why the latest of them were dropped; `None`: there are none.
    fn take_rest(&mut self) -> Option<(u64, String)> {
        let count = std::mem::take(&mut self.untold);
        (count > 0).then(|| (count, std::mem::take(&mut self.why)))
    }

    fn tell(count: u64, why: &str) {
        let spans = if count == 1 { "span was" } else { "spans were" };
        diagnostic::warn(format_args!("tracing: {count} {spans} dropped: {why}"));
    }

    /// How many spans a diagnostic at `now` tells of; `None`: there is none now.
    fn admit(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.untold += count;
        let is_quiet = |last: Instant| now.duration_since(last) < QUIET;
        if self.last.is_some_and(is_quiet) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_diagnostic_a_minute() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.admit(3, now), Some(3));
        assert_eq!(complaints.admit(4, now + QUIET / 2), None);
        assert_eq!(complaints.admit(5, now + QUIET / 2), None);
        assert_eq!(complaints.admit(1, now + QUIET), Some(10));
    }

    /// What was dropped soon after a diagnostic was told of by the next one alone, which a stop forestalled.
    #[test]
    fn the_end_tells_what_no_diagnostic_has_told_of() {
        let mut complaints = Complaints::default();
        complaints.add(3, "first");
        assert_eq!(complaints.take_rest(), None);
        complaints.add(4, "second");
        complaints.add(5, "third");
        assert_eq!(complaints.take_rest(), Some((9, "third".to_owned())));
        assert_eq!(complaints.take_rest(), None);
    }

    /// A collector that is not there: what waits is dropped, and the stop is not late.
    #[test]
    fn a_stop_does_not_wait_for_a_collector_that_is_not_there() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = closed.local_addr().expect("it is bound");
        drop(closed);
        let endpoint = format!("http://{address}").parse().expect("a URL");
        let spans: Arc<Spans> = Arc::default();
        let tracing = Tracing::new(&model::Tracing::to(endpoint), Arc::clone(&spans));
        let mut exporter = Exporter::default();
        exporter.adopt(Some(&Arc::new(tracing)));
        spans.push(vec![Span::for_tests(), Span::for_tests()]);
        exporter.finish();
        assert_eq!((spans.exported(), spans.dropped()), (0, 2));
    }
}
