//! A tunnel: carries octets between a client and an upstream, both ways at once, whatever they mean.
//!
//! ```text
//!   client ──receive──→ waiting ──send──→ upstream      the way up
//!   client ←──send──── waiting ←──receive── upstream    the way down
//! ```
//!
//! Octets are read into the worker's one buffer and sent at once. A way keeps only what the receiver
//! did not take, up to one read, and reads nothing while it keeps something: so a slow receiver slows
//! the sender down, and an idle tunnel holds no buffer.
//!
//! `splice` through a pipe is no better here: with the system's 64 KiB pipe it takes the same time of the
//! CPU, and with one of 1 MiB half of it, but that is two descriptors and 1 MiB for each way of each tunnel,
//! and of such pipes the system lets a user have 16.
//!
//! Each side may end its half by itself: the end is passed on behind everything that came before it,
//! and the other way goes on. A connection that breaks resets the other one, so that no side takes a
//! cut for an end.
//!
//! The way down may have a pace. At its pace a way reads no more than it may send, so that the rest waits in
//! the sender's socket, not here.

mod pacing;

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{InputBuffer, READ_SIZE};
use crate::runtime::{self, CompactDuration, Direction, Elapsed, Tick};
use crate::transport::Transport;

use pacing::Pacing;

/// Reads on one way before the other way has its turn.
const READS_PER_ROUND: usize = 4;

/// Rounds of both ways before the other tasks of the worker have theirs.
const ROUNDS_PER_TURN: usize = 4;

/// What is on its way between two connections. A worker holds many that are idle, so its size matters.
pub(crate) struct Tunnel {
    up: Way,
    down: Way,
    /// Octets that were received from the client.
    from_client: u64,
    /// Octets that the client's socket has taken.
    to_client: u64,
    /// How fast octets go to the client; `None`: as fast as it takes them.
    pacing: Option<Box<Pacing>>,
    idle_timeout: CompactDuration,
    /// When the tunnel has been idle for too long.
    deadline: Tick,
}

/// The two connections, and the worker's buffer.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'t> {
    pub(crate) client: &'t Transport,
    pub(crate) upstream: &'t Transport,
    pub(crate) input: &'t InputBuffer,
}

/// How a tunnel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelEnd {
    /// Both sides have ended their halves, and have everything that was sent to them.
    Complete,
    ClientBroke,
    UpstreamBroke,
    /// No octet has moved on either way for the time of the idle limit, and no receiver has taken any.
    Idle,
}

/// One of the two ways.
#[derive(Default)]
struct Way {
    state: WayState,
    /// What was received and is not sent yet; `None` while that is nothing.
    waiting: Option<Box<Waiting>>,
    /// The socket held nothing more when it was last read from.
    is_drained: bool,
    /// What the receiver had not taken when the tunnel last seemed idle; 0 since octets have moved. In 32 bits,
    /// which fit beside the others.
    untaken: u32,
}

/// Octets that the receiver has not taken.
struct Waiting {
    octets: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WayState {
    #[default]
    Open,
    /// The sender has ended its half; `waiting` and the end are still to be passed on.
    Ending,
    /// The end was passed on.
    Ended,
    /// The receiver takes nothing more.
    Refused,
}

/// What a way waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// The sender has to send.
    ToReceive,
    /// The receiver has to make room.
    ToSend,
    /// The pace lets nothing more be sent for so long.
    Pause(Duration),
    /// Nothing: it could go on, and lets others go first.
    Turn,
    /// Nothing: it is over.
    Nothing,
}

/// A connection is broken: `from` could not be read.
struct Broken;

/// The two ends of a way.
#[derive(Clone, Copy)]
struct Ends<'t> {
    from: &'t Transport,
    to: &'t Transport,
}

impl Tunnel {
    /// A tunnel that ends when no octet has moved for `idle_timeout`, and sends so many octets a second to the
    /// client at most. With a pace it is made on the thread that runs it.
    pub(crate) fn new(idle_timeout: Duration, max_rate_out: Option<NonZeroU64>) -> Self {
        let pacing = |octets| Box::new(Pacing::new(octets));
        Self {
            up: Way::default(),
            down: Way::default(),
            from_client: 0,
            to_client: 0,
            pacing: max_rate_out.map(pacing),
            idle_timeout: idle_timeout.into(),
            deadline: Tick::NEVER,
        }
    }

    /// Has these octets go to the upstream before any other.
    pub(crate) fn send_first_to_upstream(&mut self, octets: Vec<u8>) {
        self.up.waiting = Waiting::from(octets);
    }

    /// Has these octets, which the upstream has sent, go to the client before any other.
    pub(crate) fn send_first_to_client(&mut self, octets: Vec<u8>) {
        self.down.waiting = Waiting::from(octets);
    }

    /// Counts octets that the client has sent before the tunnel began.
    pub(crate) fn add_received(&mut self, octets: usize) {
        self.from_client += octets as u64;
    }

    /// Octets that it has received from the client.
    pub(crate) fn received_from_client(&self) -> u64 {
        self.from_client
    }

    /// Octets that the client's socket has taken.
    pub(crate) fn to_client(&self) -> u64 {
        self.to_client
    }

    /// Carries octets until both sides have ended, one breaks, or nothing moves any more. The caller
    /// closes both connections afterwards; where one broke, that resets the other.
    ///
    /// # Cancellation
    /// The next call goes on where this one was.
    pub(crate) fn run<'t>(
        &'t mut self,
        sides: Sides<'t>,
    ) -> impl Future<Output = TunnelEnd> + Unpin + use<'t> {
        poll_fn(move |context| self.poll(sides, context))
    }

    fn postpone(&mut self) {
        self.deadline = runtime::deadline_after(self.idle_timeout.into());
    }

    /// Moves what can be moved, up to its share of a turn.
    fn poll(&mut self, sides: Sides<'_>, context: &mut Context<'_>) -> Poll<TunnelEnd> {
        if self.deadline == Tick::NEVER {
            self.postpone();
        }
        for _ in 0..ROUNDS_PER_TURN {
            let (up, down) = match self.move_octets(sides) {
                Ok((Wants::Nothing, Wants::Nothing)) => return Poll::Ready(self.end()),
                Ok(wants) => wants,
                Err(end) => return Poll::Ready(end),
            };
            let (upward, downward, deadline) = (sides.upward(), sides.downward(), self.deadline);
            // Both are polled in any case, so that both are waited for.
            let up = self.up.poll_ready(up, upward, context, deadline);
            let down = match (down, &self.pacing) {
                (Wants::Pause(wait), Some(pacing)) => pacing.poll_pause(context, wait).map(Ok),
                _ => self.down.poll_ready(down, downward, context, deadline),
            };
            match (up, down) {
                (Poll::Ready(Err(Failure::Broken)), _) => {
                    return Poll::Ready(sides.broke(TunnelEnd::ClientBroke));
                }
                (_, Poll::Ready(Err(Failure::Broken))) => {
                    return Poll::Ready(sides.broke(TunnelEnd::UpstreamBroke));
                }
                (Poll::Ready(Ok(())), _) | (_, Poll::Ready(Ok(()))) => {}
                (Poll::Ready(Err(Failure::Idle)), _) | (_, Poll::Ready(Err(Failure::Idle))) => {
                    if !self.receivers_take(sides) {
                        return Poll::Ready(TunnelEnd::Idle);
                    }
                    self.postpone();
                }
                (Poll::Pending, Poll::Pending) => return Poll::Pending,
            }
        }
        // It could go on, and lets others go first.
        runtime::wake_next_turn(context);
        Poll::Pending
    }

    /// Moves octets on both ways until neither can go on. Returns what each waits for.
    ///
    /// # Errors
    /// How the tunnel ends, if one side is broken.
    fn move_octets(&mut self, sides: Sides<'_>) -> Result<(Wants, Wants), TunnelEnd> {
        let up = self.up.advance(sides.upward(), sides.input, None);
        let up = up.map_err(|Broken| sides.broke(TunnelEnd::ClientBroke))?;
        let pacing = self.pacing.as_deref_mut();
        let down = self.down.advance(sides.downward(), sides.input, pacing);
        let down = down.map_err(|Broken| sides.broke(TunnelEnd::UpstreamBroke))?;
        if up.octets() | down.octets() > 0 {
            self.from_client += up.received as u64;
            self.to_client += down.sent as u64;
            (self.up.untaken, self.down.untaken) = (0, 0);
            self.postpone();
        }
        if let Wants::Pause(wait) = down.wants {
            // Octets wait, so that the tunnel is not idle.
            let longer = Duration::from(self.idle_timeout).saturating_add(wait);
            self.deadline = runtime::deadline_after(longer);
        }
        Ok((up.wants, down.wants))
    }

    /// Whether a receiver has taken octets since this was last asked, or since octets moved: what the sockets hold
    /// may be much, and a receiver slow. The first time, any octets that a socket holds count.
    fn receivers_take(&mut self, sides: Sides<'_>) -> bool {
        let untaken = [sides.upstream, sides.client].map(Transport::untaken);
        let before = [&mut self.up.untaken, &mut self.down.untaken];
        let mut takes = false;
        for (before, untaken) in before.into_iter().zip(untaken) {
            takes |= std::mem::replace(before, untaken) != untaken;
        }
        takes
    }

    /// How the tunnel has ended, now that both ways are over.
    fn end(&self) -> TunnelEnd {
        match (self.up.state, self.down.state) {
            (WayState::Refused, _) => TunnelEnd::UpstreamBroke,
            (_, WayState::Refused) => TunnelEnd::ClientBroke,
            _ => TunnelEnd::Complete,
        }
    }
}

impl<'t> Sides<'t> {
    fn upward(&self) -> Ends<'t> {
        Ends {
            from: self.client,
            to: self.upstream,
        }
    }

    fn downward(&self) -> Ends<'t> {
        Ends {
            from: self.upstream,
            to: self.client,
        }
    }

    /// Has both connections reset when they are closed: one of them is, and `end` says which.
    fn broke(&self, end: TunnelEnd) -> TunnelEnd {
        self.client.reset_on_close();
        self.upstream.reset_on_close();
        end
    }
}

impl Waiting {
    /// The octets, if there are any.
    fn from(octets: Vec<u8>) -> Option<Box<Self>> {
        (!octets.is_empty()).then(|| Box::new(Self { octets, sent: 0 }))
    }
}

impl Way {
    /// Moves octets until it would have to wait, or has had its turn.
    fn advance(
        &mut self,
        ends: Ends<'_>,
        input: &InputBuffer,
        mut pacing: Option<&mut Pacing>,
    ) -> Result<Advance, Broken> {
        let mut moved = Advance {
            wants: Wants::Turn,
            received: 0,
            sent: 0,
        };
        for _ in 0..READS_PER_ROUND {
            let most = match pacing.as_deref_mut().filter(|_| self.has_work()) {
                None => READ_SIZE,
                Some(pacing) => match pacing.allowance() {
                    Ok(most) => most.min(READ_SIZE),
                    Err(wait) => {
                        moved.wants = Wants::Pause(wait);
                        return Ok(moved);
                    }
                },
            };
            let before = moved.sent;
            let wants = self.step(ends, input, most, &mut moved)?;
            if let Some(pacing) = &mut pacing {
                pacing.sent(moved.sent - before);
            }
            if let Some(wants) = wants {
                moved.wants = wants;
                return Ok(moved);
            }
        }
        Ok(moved)
    }

    /// Whether there is something to send, or to read and send.
    fn has_work(&self) -> bool {
        self.waiting.is_some() || (self.state == WayState::Open && !self.is_drained)
    }

    /// Sends what was kept, or reads once and sends that; the receiver gets at most so many octets. Returns what
    /// the way waits for; `None`: it can go on.
    fn step(
        &mut self,
        ends: Ends<'_>,
        input: &InputBuffer,
        most: usize,
        moved: &mut Advance,
    ) -> Result<Option<Wants>, Broken> {
        if self.waiting.is_some() {
            let is_blocked = self.send_waiting(ends.to, most, moved);
            return Ok(is_blocked.then_some(Wants::ToSend));
        }
        match self.state {
            WayState::Open if self.is_drained => return Ok(Some(Wants::ToReceive)),
            WayState::Open => self.pass_on(ends, input, most, moved)?,
            WayState::Ending => {
                ends.to.shut_down();
                self.state = WayState::Ended;
            }
            WayState::Ended | WayState::Refused => return Ok(Some(Wants::Nothing)),
        }
        Ok(None)
    }

    /// Reads once, at most so many octets, and sends what was read; keeps what the receiver does not take.
    fn pass_on(
        &mut self,
        ends: Ends<'_>,
        input: &InputBuffer,
        most: usize,
        moved: &mut Advance,
    ) -> Result<(), Broken> {
        let mut input = input.borrow_mut();
        let received = match ends.from.receive(&mut input[..most]) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_drained = true;
                return Ok(());
            }
            Err(_) => return Err(Broken),
        };
        self.is_drained = received.is_drained;
        if received.count == 0 {
            self.state = WayState::Ending;
            return Ok(());
        }
        moved.received += received.count;
        let octets = &input[..received.count];
        match ends.to.send(octets, false) {
            Ok(count) => {
                moved.sent += count;
                // No larger than it has to be: it may have to wait for long.
                self.waiting = Waiting::from(octets[count..].to_vec());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.waiting = Waiting::from(octets.to_vec());
            }
            Err(_) => self.refuse(),
        }
        Ok(())
    }

    /// Sends what was kept, at most so many octets. Returns whether the receiver takes nothing more for now.
    fn send_waiting(&mut self, to: &Transport, most: usize, moved: &mut Advance) -> bool {
        let Some(waiting) = &mut self.waiting else {
            return false;
        };
        let end = waiting.octets.len().min(waiting.sent + most);
        while waiting.sent < end {
            match to.send(&waiting.octets[waiting.sent..end], false) {
                // A session of TLS may say now that it has sent what it was given when there was no room.
                Ok(count) => {
                    waiting.sent += count;
                    moved.sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => {
                    self.refuse();
                    return false;
                }
            }
        }
        if waiting.sent >= waiting.octets.len() {
            self.waiting = None;
        }
        false
    }

    /// Ends the way because the receiver takes nothing more. What the receiver has sent before is still
    /// in its socket, so the other way goes on to its end.
    fn refuse(&mut self) {
        self.state = WayState::Refused;
        self.waiting = None;
    }

    /// Waits for what the way wants. Ready if it may go on.
    fn poll_ready(
        &mut self,
        wants: Wants,
        ends: Ends<'_>,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Failure>> {
        match wants {
            Wants::Nothing => Poll::Pending,
            // A way without a pace never pauses.
            Wants::Turn | Wants::Pause(_) => Poll::Ready(Ok(())),
            Wants::ToReceive => {
                let ready = ends.from.poll_ready(context, Direction::Read, deadline)?;
                ready.map(|()| {
                    self.is_drained = false;
                    Ok(())
                })
            }
            Wants::ToSend => {
                // A sender that breaks while nothing is read from it would not be noticed otherwise. A
                // report ends the wait, so it is waited for again.
                while let Poll::Ready(Ok(())) = ends.from.poll_report(context, deadline) {
                    self.is_drained = false;
                    if ends.from.is_broken() {
                        return Poll::Ready(Err(Failure::Broken));
                    }
                }
                let ready = ends.to.poll_ready(context, Direction::Write, deadline)?;
                ready.map(Ok)
            }
        }
    }
}

/// How far a way came.
struct Advance {
    wants: Wants,
    received: usize,
    sent: usize,
}

impl Advance {
    fn octets(&self) -> usize {
        self.received + self.sent
    }
}

/// Why a way does not go on.
enum Failure {
    Broken,
    Idle,
}

impl From<Elapsed> for Failure {
    fn from(Elapsed: Elapsed) -> Self {
        Self::Idle
    }
}

#[cfg(test)]
mod tests;
