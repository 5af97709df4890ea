//! The loop's own: deadlines and wake-ups.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use tidegate::bench::{TimerWheel, ping_pong};

const CONNECTIONS: usize = 10_000;

/// The idle timeout of a connection, which is what most deadlines are.
const IDLE: Duration = Duration::from_secs(75);

/// What a request costs the wheel: its connection's deadline moves on.
#[divan::bench]
fn move_deadlines(bencher: Bencher<'_, '_>) {
    let mut wheel = TimerWheel::new();
    let mut now = Duration::ZERO;
    bencher
        .counter(ItemsCount::new(CONNECTIONS))
        .bench_local(|| {
            now += Duration::from_micros(1);
            (0..CONNECTIONS).for_each(|number| wheel.arm(number, now + IDLE));
        });
}

/// What a connection costs it that comes and times out.
#[divan::bench]
fn lodge_and_expire(bencher: Bencher<'_, '_>) {
    let mut wheel = TimerWheel::new();
    let mut now = Duration::ZERO;
    bencher
        .counter(ItemsCount::new(CONNECTIONS))
        .bench_local(|| {
            for number in 0..CONNECTIONS {
                // Spread over a second, as connections are.
                let spread = Duration::from_micros(number as u64 * 100);
                wheel.arm(number, now + Duration::from_secs(1) + spread);
            }
            now += Duration::from_secs(3);
            assert_eq!(wheel.expire(now), CONNECTIONS, "all of them are due");
        });
}

/// A task that is woken, put into the run queue and run; its loop's making is in it, and small.
#[divan::bench]
fn wake(bencher: Bencher<'_, '_>) {
    const WAKE_UPS: usize = 100_000;
    bencher
        .counter(ItemsCount::new(WAKE_UPS))
        .bench_local(|| ping_pong(WAKE_UPS));
}
