//! Waits for a peer that is slow to take what it is sent.
//!
//! The system reports room when about a third of a socket's send buffer is free, and that buffer grows to
//! 4 MiB by itself. A peer that reads 20 kB a second makes no such room within a minute, although it takes
//! octets all the time. Whether it takes any can only be asked, and is asked a few times within a timeout:
//! a wait that is over soon costs no system call.

use std::time::Duration;

use super::reactor::{Direction, Elapsed};
use super::timer::Tick;
use super::{Stream, deadline_after};

/// How often within a timeout the system is asked. A peer that stops is noticed so much of the timeout late.
const LOOKS: u32 = 4;

/// How long a peer may still do nothing, where octets that it takes count as doing something.
pub(crate) struct Uptake {
    /// When the peer must have done something.
    deadline: Tick,
    /// When the system is asked next.
    next_look: Tick,
    /// The octets that the peer had not taken at the last look; 0 before the first one, so that octets
    /// which wait then give the peer its whole time from there: some may have been taken before.
    untaken: u32,
}

impl Uptake {
    /// The peer has `timeout` from now on.
    pub(crate) fn begin(timeout: Duration) -> Self {
        Self {
            deadline: deadline_after(timeout),
            next_look: deadline_after(timeout / LOOKS),
            untaken: 0,
        }
    }

    /// When the peer must have done something, as far as is known now.
    pub(crate) fn deadline(&self) -> Tick {
        self.deadline
    }

    /// When to [`look`](Self::look).
    pub(crate) fn next_look(&self) -> Tick {
        self.next_look.min(self.deadline)
    }

    /// Asks whether the peer at `stream` has taken octets. If so, it has `timeout` from now on. A caller that
    /// has sent octets begins anew.
    ///
    /// # Errors
    /// [`Elapsed`] if its time is over, and if the wait for [`next_look`](Self::next_look) has failed before that.
    pub(crate) fn look(&mut self, stream: &Stream, timeout: Duration) -> Result<(), Elapsed> {
        if !self.next_look().has_come() {
            // It was too early: the system will not watch the socket, and no wait would end otherwise.
            return Err(Elapsed);
        }
        let untaken = stream.untaken();
        if untaken != self.untaken {
            self.untaken = untaken;
            self.deadline = deadline_after(timeout);
        } else if self.deadline.has_come() {
            return Err(Elapsed);
        }
        self.next_look = deadline_after(timeout / LOOKS);
        Ok(())
    }

    /// As if no time were left.
    #[cfg(test)]
    pub(crate) fn over() -> Self {
        Self {
            deadline: Tick::at(Duration::ZERO),
            next_look: Tick::at(Duration::ZERO),
            untaken: 0,
        }
    }
}

impl Stream {
    /// Waits until there may be room to send, for as long as the peer takes octets.
    ///
    /// # Errors
    /// [`Elapsed`] if the peer takes nothing for `timeout`. That is noticed up to a quarter of it later.
    pub(crate) async fn room(&self, timeout: Duration) -> Result<(), Elapsed> {
        let mut uptake = Uptake::begin(timeout);
        while let Err(Elapsed) = self.ready(Direction::Write, uptake.next_look()).await {
            uptake.look(self, timeout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::*;
    use crate::test_support::slow_peer::{PIECE, TIMEOUT, fill, read_slowly, tcp_pair, unix_pair};

    #[test]
    fn a_peer_is_waited_for_as_long_as_it_takes_octets() {
        for (pair, piece) in [(tcp_pair as fn() -> _, PIECE), (unix_pair, PIECE / 8)] {
            run(async move {
                let (near, far): (Stream, Stream) = pair();
                fill(&near).await;
                let room = read_slowly(&far, piece, near.room(TIMEOUT)).await;
                assert_eq!(room, Ok(()));
            })
            .expect("a loop");
        }
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up() {
        for pair in [tcp_pair, unix_pair] {
            run(async move {
                let (near, _far) = pair();
                fill(&near).await;
                assert_eq!(near.room(TIMEOUT).await, Err(Elapsed));
            })
            .expect("a loop");
        }
    }

    /// A wait that the system refuses is over at once: it would be asked for again and again otherwise.
    #[test]
    fn a_wait_that_fails_before_its_time_is_over() {
        run(async move {
            let (near, _far) = tcp_pair();
            fill(&near).await;
            let mut uptake = Uptake::begin(Duration::from_secs(3600));
            assert_eq!(uptake.look(&near, TIMEOUT), Err(Elapsed));
        })
        .expect("a loop");
    }

    /// Once the peer has taken everything, its time is not prolonged.
    #[test]
    fn a_peer_that_has_taken_everything_gets_no_more_time() {
        run(async move {
            let (near, _far) = tcp_pair();
            let mut uptake = Uptake::over();
            assert_eq!(uptake.look(&near, TIMEOUT), Err(Elapsed));
        })
        .expect("a loop");
    }
}
