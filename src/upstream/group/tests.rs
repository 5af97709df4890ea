use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::address::{ClientAddress, UpstreamAddress};
use crate::config::model::{Failures, HashKey, Place, UpstreamServer};
use crate::upstream::check::Unwell;
use crate::upstream::chosen::Role;
use crate::upstream::names::Target;

/// A group, and a function from seconds to moments.
pub(super) struct Trial {
    pub(super) group: Arc<Group>,
    start: Instant,
}

impl Trial {
    /// A group of servers at ports 1, 2, 3…, after `change` has been made to its settings.
    pub(super) fn new(count: u16, change: impl FnOnce(&mut model::Upstream)) -> Self {
        let server = |port| UpstreamServer::at(UpstreamAddress::Ip(([127, 0, 0, 1], port).into()));
        let servers = (1..=count).map(server).collect();
        let place = Place::of_program("test");
        let mut options = model::Upstream::of("shop".to_owned(), servers, place);
        options.failures = Failures {
            max: 1,
            within: Duration::from_secs(10),
            pause: Duration::from_secs(5),
        };
        change(&mut options);
        let group = Arc::new(Group::new(&options, &Arc::default(), None));
        let start = Instant::now();
        Self { group, start }
    }

    pub(super) fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    pub(super) fn choose(&self, seconds: u64, tried: &[u64]) -> Result<Chosen, NoServer> {
        let wish = Wish::default();
        self.group.choose_at(wish, tried, self.at(seconds))
    }

    /// The port of the server that is chosen.
    fn port(&self, seconds: u64) -> u16 {
        port(&self.choose(seconds, &[]).expect("a server"))
    }

    /// Has the server that is chosen fail, and returns its port.
    pub(super) fn fail(&self, seconds: u64) -> u16 {
        let chosen = self.choose(seconds, &[]).expect("a server");
        chosen.failed_at(self.at(seconds));
        port(&chosen)
    }
}

fn port(chosen: &Chosen) -> u16 {
    match chosen.server().address() {
        UpstreamAddress::Ip(address) => address.port(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_are_asked_one_after_the_other() {
    let trial = Trial::new(3, |options| options.servers[1].weight = 2);
    let ports: Vec<u16> = (0..8).map(|_| trial.port(0)).collect();
    let count = |port| ports.iter().filter(|other| **other == port).count();
    assert_eq!([1, 2, 3].map(count), [2, 4, 2], "{ports:?}");
}

#[test]
fn a_server_that_was_tried_is_not_asked_again() {
    let trial = Trial::new(2, |_| {});
    let first = trial.choose(0, &[]).expect("a server");
    let second = trial.choose(0, &[first.server().id()]).expect("another");
    assert_ne!(first.server().id(), second.server().id());
    let tried = [first.server().id(), second.server().id()];
    assert_eq!(trial.choose(0, &tried).err(), Some(NoServer::AllFailed));
}

#[test]
fn a_backup_is_asked_only_while_no_other_can_be() {
    let trial = Trial::new(3, |options| {
        options.servers[2].backup = true;
        options.servers[0].max_connections = Some(1);
    });
    let busy = trial.choose(0, &[]).expect("a server");
    assert_eq!((port(&busy), trial.port(0), trial.port(0)), (1, 2, 2));
    assert_eq!(trial.fail(0), 2);
    assert_eq!([0, 1, 4].map(|seconds| trial.port(seconds)), [3; 3]);
    drop(busy);
    assert_eq!(trial.port(4), 1);
}

#[test]
fn servers_that_have_all_they_may_have_are_busy() {
    let trial = Trial::new(2, |options| {
        options
            .servers
            .iter_mut()
            .for_each(|server| server.max_connections = Some(2));
    });
    let held: Vec<Chosen> = (0..4)
        .map(|_| trial.choose(0, &[]).expect("a place"))
        .collect();
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllBusy));
    drop(held);
    assert!(trial.choose(0, &[]).is_ok());
}

/// A request was sent to the server in a pause, and got 502, while the other only had no room.
#[test]
fn a_server_in_a_pause_is_no_way_past_a_busy_one() {
    let trial = Trial::new(2, |options| {
        options.servers[1].max_connections = Some(1);
    });
    assert_eq!(trial.fail(0), 1);
    let held = trial.choose(0, &[]).expect("the other");
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllBusy));
    drop(held);
    assert_eq!(trial.port(0), 2);
}

#[test]
fn without_addresses_there_is_no_server() {
    let trial = Trial::new(1, |options| {
        options.servers[0].address = UpstreamAddress::Name {
            name: "app".to_owned(),
            port: 80,
            found: Vec::new(),
        };
    });
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::Unknown));
}

#[test]
fn a_server_that_failed_is_tried_once_after_its_pause_then_asked_more_and_more() {
    let trial = Trial::new(2, |_| {});
    let down = trial.fail(0);
    let other = 3 - down;
    assert_eq!([0, 1, 4].map(|seconds| trial.port(seconds)), [other; 3]);
    // It is its turn at once, because it has missed some.
    let first = trial.choose(5, &[]).expect("a server");
    assert_eq!(port(&first), down);
    assert_eq!(
        [5, 5, 6].map(|seconds| trial.port(seconds)),
        [other; 3],
        "one request tries it"
    );
    first.succeeded_at(trial.at(6));
    let shares = [6, 11, 20].map(|seconds| {
        let ports = (0..320).map(|_| trial.port(seconds));
        ports.filter(|port| *port == down).count()
    });
    assert!(
        shares[0] < 30 && (90..130).contains(&shares[1]),
        "{shares:?}"
    );
    assert!(shares[2].abs_diff(160) <= 1, "{shares:?}");
}

/// It is asked all the same, and each request is counted once.
#[test]
fn a_server_that_is_alone_is_counted_once_a_request_in_its_pause() {
    let trial = Trial::new(1, |_| ());
    trial.fail(0);
    let chosen = [1, 2, 3].map(|seconds| trial.choose(seconds, &[]).expect("the last resort"));
    let server = chosen[0].server();
    assert_eq!((server.begun(), server.in_flight()), (4, 3));
}

#[test]
fn a_trial_without_an_outcome_is_followed_by_another() {
    let trial = Trial::new(2, |_| {});
    let down = trial.fail(0);
    for _ in 0..3 {
        // The client goes away.
        let ports = [5, 5].map(|seconds| trial.port(seconds));
        assert!(ports.contains(&down), "{ports:?}");
    }
    let failing = [5, 5].map(|seconds| trial.choose(seconds, &[]).expect("a server"));
    let failing = failing.iter().find(|chosen| port(chosen) == down);
    failing.expect("a trial").failed_at(trial.at(5));
    let later = [14, 14].map(|seconds| trial.port(seconds));
    assert!(!later.contains(&down), "the pause is ten seconds now");
    assert_eq!(trial.port(15), down);
}

/// The status of a response may be a failure, and its content may break off afterwards.
#[test]
fn a_request_is_one_failure() {
    let trial = Trial::new(1, |options| options.failures.max = 2);
    let chosen = trial.choose(0, &[]).expect("a server");
    chosen.failed_at(trial.at(0));
    chosen.failed_at(trial.at(0));
    assert_eq!(trial.choose(0, &[]).expect("it").role, Role::Ordinary);
    trial.fail(0);
    assert_eq!(trial.choose(0, &[]).expect("it").role, Role::LastResort);
}

#[test]
fn of_servers_in_a_pause_the_one_that_failed_least_recently_is_asked() {
    let trial = Trial::new(2, |_| {});
    let (first, second) = (trial.fail(0), trial.fail(1));
    assert_ne!(first, second);
    assert_eq!([2, 2].map(|seconds| trial.port(seconds)), [first; 2]);
    assert_eq!((trial.fail(3), trial.fail(4)), (first, second));
    let chosen = trial.choose(4, &[]).expect("a server");
    assert_eq!(port(&chosen), first);
    chosen.succeeded_at(trial.at(4));
    assert_eq!(
        [4, 4].map(|seconds| trial.port(seconds)),
        [first; 2],
        "it has come back"
    );
}

#[test]
fn the_same_key_leads_to_the_same_server_also_after_its_pause() {
    let trial = Trial::new(4, |options| options.balance = Balance::Hash(HashKey::Path));
    let wish = |key| Wish {
        key: Some(key),
        cookie: None,
    };
    let ask = |key, seconds| {
        let chosen = trial.group.choose_at(wish(key), &[], trial.at(seconds));
        chosen.expect("a server")
    };
    let before: Vec<u16> = (0..200).map(|key| port(&ask(key, 0))).collect();
    let down = ask(0, 0);
    down.failed_at(trial.at(0));
    let during: Vec<u16> = (0..200).map(|key| port(&ask(key, 1))).collect();
    for (before, during) in before.iter().zip(&during) {
        assert_eq!(before == during, *before != port(&down));
    }
    ask(0, 5).succeeded_at(trial.at(5));
    let after: Vec<u16> = (0..200).map(|key| port(&ask(key, 15))).collect();
    assert_eq!(before, after);
}

#[test]
fn without_a_key_hashing_takes_turns() {
    let trial = Trial::new(2, |options| {
        options.balance = Balance::Hash(HashKey::Client)
    });
    assert_ne!(trial.port(0), trial.port(0));
}

/// What is known of a server outlives the group, as it does in a reload.
#[test]
fn another_group_of_the_same_servers_knows_what_they_did() {
    let trial = Trial::new(2, |_| {});
    let servers = Arc::<Servers>::default();
    let before = Group::new(trial.group.options(), &servers, None);
    let failed = before
        .choose_at(Wish::default(), &[], trial.at(0))
        .expect("a server");
    failed.failed_at(trial.at(0));
    let after = Group::new(trial.group.options(), &servers, None);
    for _ in 0..4 {
        let chosen = after
            .choose_at(Wish::default(), &[], trial.at(1))
            .expect("a server");
        assert_ne!(chosen.server().id(), failed.server().id());
    }
}

/// A request that waited, or that was sent again, was kept from the servers that a reload had brought, and got one
/// that the reload had left out.
#[test]
fn an_exchange_that_outlives_its_generation_gets_a_server_of_the_one_that_serves() {
    let servers = Arc::<Servers>::default();
    let group = |port: usize| {
        let mut options = Trial::new(3, |_| {}).group.options().clone();
        options.servers = vec![options.servers[port - 1].clone()];
        Arc::new(Group::new(&options, &servers, None))
    };
    let wanted = Wanted {
        client: ClientAddress::Unknown,
        head: None,
    };
    let begun = group(1);
    let chosen = |tried: &[u64]| {
        let chosen = begun.choose_of_serving(wanted, tried, Instant::now());
        chosen.map(|chosen| port(&chosen))
    };
    let id = begun.servers()[0].0.id();
    assert_eq!(chosen(&[]), Ok(1));
    let adopt = |before: &Group, next: &Arc<Group>| {
        next.revive();
        before.retire();
    };
    let second = group(2);
    adopt(&begun, &second);
    assert_eq!((chosen(&[]), chosen(&[id])), (Ok(2), Ok(2)));
    assert!(second.set_drained("127.0.0.1:2", true));
    assert_eq!(chosen(&[]), Err(NoServer::AllFailed));
    let third = group(3);
    adopt(&second, &third);
    drop(second);
    assert_eq!(chosen(&[]), Ok(3));
    // A reload has left the upstream out.
    third.retire();
    drop(third);
    assert_eq!(chosen(&[]), Ok(1));
}

/// A group with `sticky`.
fn sticky(count: u16) -> Trial {
    Trial::new(count, |options| {
        options.sticky = Some(model::Sticky {
            cookie: "s".to_owned(),
            secret: None,
        });
    })
}

/// What is chosen for a client with that cookie.
fn with_cookie(trial: &Trial, cookie: &str, seconds: u64) -> Chosen {
    let wish = Wish {
        key: None,
        cookie: Some(cookie.as_bytes()),
    };
    let chosen = trial.group.choose_at(wish, &[], trial.at(seconds));
    chosen.expect("a server")
}

/// The value of the cookie that a client without one gets.
fn cookie(chosen: &Chosen) -> String {
    let field = chosen.set_cookie().expect("a cookie");
    let value = field.strip_prefix("s=").expect("its name");
    let value = value.strip_suffix("; Path=/; HttpOnly; SameSite=Lax");
    value.expect("its attributes").to_owned()
}

#[test]
fn a_cookie_leads_to_the_same_server() {
    let trial = sticky(3);
    let first = trial.choose(0, &[]).expect("a server");
    let value = cookie(&first);
    assert!(!value.contains("127."), "it does not tell the address");
    for _ in 0..5 {
        let again = with_cookie(&trial, &value, 0);
        assert_eq!(
            (again.server().id(), again.set_cookie()),
            (first.server().id(), None)
        );
    }
}

#[test]
fn a_forged_cookie_is_replaced() {
    let trial = sticky(2);
    for forged in ["", "127.0.0.1:1", "0", &"0".repeat(32)] {
        assert!(
            with_cookie(&trial, forged, 0).set_cookie().is_some(),
            "{forged}"
        );
    }
}

#[test]
fn the_cookie_of_a_server_that_failed_is_replaced() {
    let trial = sticky(2);
    let first = trial.choose(0, &[]).expect("a server");
    let value = cookie(&first);
    first.failed_at(trial.at(0));
    let other = with_cookie(&trial, &value, 1);
    assert_ne!(other.server().id(), first.server().id());
    assert_ne!(cookie(&other), value);
}

#[test]
fn a_server_that_is_busy_keeps_its_clients() {
    let trial = sticky(2);
    let busy = Trial::new(2, |options| {
        *options = trial.group.options().clone();
        options
            .servers
            .iter_mut()
            .for_each(|server| server.max_connections = Some(1));
    });
    let first = busy.choose(0, &[]).expect("a server");
    let value = cookie(&first);
    let other = with_cookie(&busy, &value, 0);
    assert_ne!(other.server().id(), first.server().id());
    assert_eq!(other.set_cookie(), None);
}

#[test]
fn a_drained_server_gets_only_the_clients_that_it_has() {
    let trial = sticky(2);
    let value = cookie(&trial.choose(0, &[]).expect("a server"));
    trial.group.members.load()[0].set_drained(true);
    assert_eq!([0, 0, 0].map(|seconds| trial.port(seconds)), [2; 3]);
    assert_eq!(port(&with_cookie(&trial, &value, 0)), 1);
    trial.group.members.load()[1].set_drained(true);
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllFailed));
}

/// A group of `app.internal`, which leads to these ports.
fn named(ports: &[u16]) -> Trial {
    Trial::new(1, |options| {
        options.servers[0].address = UpstreamAddress::Name {
            name: "app.internal".to_owned(),
            port: 80,
            found: ports
                .iter()
                .map(|port| ([127, 0, 0, 1], *port).into())
                .collect(),
        };
    })
}

fn targets(ports: &[u16]) -> Vec<Target> {
    let target = |port: &u16| Target::at(([127, 0, 0, 1], *port).into());
    ports.iter().map(target).collect()
}

#[test]
fn all_addresses_of_a_name_are_asked_and_another_answer_replaces_them() {
    let trial = named(&[1, 2]);
    let kept = trial.choose(0, &[]).expect("a server");
    assert_eq!((port(&kept), trial.port(0), trial.port(0)), (1, 2, 1));
    trial.group.adopt_answer(0, targets(&[3, 2]));
    let asked = [0; 4].map(|seconds| trial.port(seconds));
    assert!(
        [2, 3].iter().all(|port| asked.contains(port)) && !asked.contains(&1),
        "{asked:?}"
    );
    assert!(!kept.server().is_listed(), "its connections are not kept");
}

#[test]
fn the_servers_of_an_answer_that_adds_some_stay_as_they_are() {
    let trial = named(&[1, 2]);
    let down = trial.fail(0);
    let other = format!("127.0.0.1:{}", 3 - down);
    assert!(trial.group.set_drained(&other, true));
    trial.group.adopt_answer(0, targets(&[1, 2, 3]));
    assert_eq!([1, 1, 1].map(|seconds| trial.port(seconds)), [3; 3]);
}

/// It got requests again, and nothing told of it.
#[test]
fn a_drained_server_stays_drained_while_its_name_leads_elsewhere_and_back() {
    let (trial, first) = (named(&[1, 2]), "127.0.0.1:1");
    assert!(trial.group.set_drained(first, true));
    for ports in [&[2][..], &[1, 2]] {
        trial.group.adopt_answer(0, targets(ports));
        assert_eq!([0; 4].map(|seconds| trial.port(seconds)), [2; 4]);
    }
    // It can be enabled also while it is away.
    trial.group.adopt_answer(0, targets(&[2]));
    assert!(trial.group.set_drained(first, false));
    assert!(!trial.group.set_drained("127.0.0.1:9", false));
    trial.group.adopt_answer(0, targets(&[1, 2]));
    assert!([0; 2].map(|seconds| trial.port(seconds)).contains(&1));
}

/// The servers that were added got requests.
#[test]
fn a_drained_name_has_no_server_that_gets_requests() {
    let trial = named(&[1, 2]);
    assert!(trial.group.set_drained("app.internal:80", true));
    trial.group.adopt_answer(0, targets(&[1, 2, 3]));
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllFailed));
    // Of two orders that mean a server, the later one holds.
    assert!(trial.group.set_drained("127.0.0.1:3", false));
    for ports in [&[1, 2, 3][..], &[2, 4], &[1, 2, 3, 4]] {
        trial.group.adopt_answer(0, targets(ports));
        let chosen = trial.choose(0, &[]).map(|chosen| port(&chosen));
        let is_there = ports.contains(&3);
        assert_eq!(chosen.ok(), is_there.then_some(3), "{ports:?}");
    }
    assert!(trial.group.set_drained("app.internal:80", false));
    trial.group.adopt_answer(0, targets(&[1]));
    assert_eq!(trial.port(0), 1);
}

/// A process of an application that ends does not come back: another one may get its port.
#[test]
fn a_process_that_gets_the_port_of_a_drained_one_is_not_drained() {
    let trial = Trial::new(0, |_| {});
    let servers = Arc::<Servers>::default();
    let app = Group::shared(trial.group.options(), &servers, None);
    let ready = |ports: &[u16]| {
        let address = |port: &u16| UpstreamAddress::Ip(([127, 0, 0, 1], *port).into());
        servers.set_ready(ports.iter().map(address).collect());
        app.choose_at(Wish::default(), &[], trial.at(0)).is_ok()
    };
    assert!(ready(&[1]));
    assert!(app.set_drained("127.0.0.1:1", true));
    assert!(!ready(&[1]));
    assert!(ready(&[2]) && ready(&[1, 2]) && ready(&[1]));
}

#[test]
fn a_server_to_which_no_name_leads_is_told_of() {
    let (trial, told) = (named(&[1, 2]), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&told);
    trial.group.known_servers().tell_of_departures_by(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for (ports, expected) in [(&[1, 2, 3][..], 0), (&[2, 3], 1), (&[3, 2], 1), (&[4], 2)] {
        trial.group.adopt_answer(0, targets(ports));
        assert_eq!(told.load(Ordering::Relaxed), expected, "{ports:?}");
    }
}

#[test]
fn the_servers_of_a_group_are_listed_while_its_generation_serves() {
    let trial = named(&[1]);
    let chosen = trial.choose(0, &[]).expect("a server");
    trial.group.retire();
    assert!(!chosen.server().is_listed());
    assert_eq!(trial.port(0), 1, "an exchange of the generation goes on");
    trial.group.adopt_answer(0, targets(&[1, 2]));
    assert!(!chosen.server().is_listed(), "whatever list it has");
    trial.group.revive();
    assert!(chosen.server().is_listed());
}

#[test]
fn a_name_that_a_reload_does_not_find_leads_where_it_did() {
    let (found, lost) = (named(&[]), named(&[]));
    let servers = Arc::<Servers>::default();
    let before = Group::new(found.group.options(), &servers, None);
    assert!(before.names().all(|(nth, _)| !before.has_answer(nth)));
    before.adopt_answer(0, targets(&[1]));
    let after = Group::new(lost.group.options(), &servers, None);
    assert!(after.has_answer(0));
    assert!(after.choose_at(Wish::default(), &[], lost.at(0)).is_ok());
}

/// A reload that took the check out, and one that put another in, left a server out that the first check had
/// found unhealthy.
#[test]
fn what_another_check_has_found_is_forgotten() {
    let check = |path: &str, every| model::HealthCheck {
        path: path.to_owned(),
        host: None,
        every: Duration::from_secs(every),
        timeout: Duration::from_secs(1),
        status: Vec::new(),
        rises: 1,
        falls: 1,
    };
    let servers = Arc::<Servers>::default();
    let trial = Trial::new(1, |_| {});
    let group = |health| {
        let mut options = trial.group.options().clone();
        options.health = health;
        let group = Arc::new(Group::new(&options, &servers, None));
        group.revive();
        group
    };
    let is_asked = |group: &Group| group.choose_at(Wish::default(), &[], trial.at(0)).is_ok();
    let first = group(Some(check("/wrong", 1)));
    let (server, _) = &first.servers()[0];
    first.note_health(server, Err(Unwell::TimedOut), trial.at(0));
    assert!(!is_asked(&first));
    assert!(
        !is_asked(&group(Some(check("/wrong", 2)))),
        "the same question"
    );
    let other = group(Some(check("/ok", 1)));
    assert!(is_asked(&other));
    // The answer to a question that was under way.
    first.retire();
    first.note_health(server, Err(Unwell::TimedOut), trial.at(0));
    assert!(is_asked(&other));
    other.note_health(server, Err(Unwell::TimedOut), trial.at(0));
    assert!(!is_asked(&other));
    group(None);
    assert!(is_asked(&group(Some(check("/ok", 1)))));
}

/// Has the servers of a group asked whether they are well. Two answers in a row count.
fn checked(options: &mut model::Upstream) {
    options.health = Some(model::HealthCheck {
        path: "/".to_owned(),
        host: None,
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        status: Vec::new(),
        rises: 2,
        falls: 2,
    });
}

/// Every server was taken out while only this process had no descriptor left, and requests on connections that were
/// open would have been answered.
#[test]
fn a_check_that_has_no_descriptor_left_says_nothing_about_the_server() {
    let trial = Trial::new(1, checked);
    let (server, _) = &trial.group.servers()[0];
    let note = |error: Errno| {
        let answer = Err(Unwell::Connect(error.into()));
        trial.group.note_health(server, answer, trial.at(0));
    };
    [Errno::MFILE, Errno::NFILE, Errno::MFILE]
        .into_iter()
        .for_each(note);
    assert_eq!(trial.port(0), 1);
    // It is no good answer either: the bad ones before and after it are still in a row.
    [Errno::CONNREFUSED, Errno::MFILE, Errno::CONNREFUSED]
        .into_iter()
        .for_each(note);
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllFailed));
}

#[test]
fn an_unhealthy_server_is_not_asked_also_if_there_is_no_other() {
    let trial = Trial::new(2, checked);
    let servers = trial.group.servers();
    let note = |nth: usize, answer: Result<(), Unwell>| {
        trial
            .group
            .note_health(&servers[nth].0, answer, trial.at(0));
    };
    note(0, Err(Unwell::TimedOut));
    assert!(
        [0; 2].map(|seconds| trial.port(seconds)).contains(&1),
        "one bad answer"
    );
    note(0, Err(Unwell::TimedOut));
    assert_eq!([0; 3].map(|seconds| trial.port(seconds)), [2; 3]);
    (0..2).for_each(|_| note(1, Err(Unwell::ClosedEarly)));
    assert_eq!(trial.choose(0, &[]).err(), Some(NoServer::AllFailed));
    (0..2).for_each(|_| note(0, Ok(())));
    assert_eq!([0; 3].map(|seconds| trial.port(seconds)), [1; 3]);
    let alone = Trial::new(1, checked);
    let [(server, _)] = &alone.group.servers()[..] else {
        panic!("one server");
    };
    for _ in 0..2 {
        alone
            .group
            .note_health(server, Err(Unwell::TimedOut), alone.at(0));
    }
    assert_eq!(alone.choose(0, &[]).err(), Some(NoServer::AllFailed));
}
