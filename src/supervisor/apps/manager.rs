//! The thread that runs the processes of all applications. Only it starts and ends them.
//!
//! ```text
//! Run ──────────────────────→ starting ─ ready ─→ asked ─┐
//!                                ↑ pause ←─ ended ───────┤
//! Stage ─→ staged, beside the others ─ all are ready ─→ Switch: they are asked ─→ Settle: what is not
//!             └ one ends, or is late ─→ Abort                    │                  wanted any more leaves
//!                                                                ↓
//!                              leaving: its requests end ─→ SIGTERM ─→ SIGKILL
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::facts::AppFacts;
use super::instance::{Happened, Instance, InstanceId, Launcher};
use super::leaving::Leaving;
use super::own::SocketDirectory;
use super::running::{RunningApp, Wanted};
use super::slot::Slot;
use crate::config::model::App;
use crate::log::diagnostic;
use crate::supervisor::events::{AppsNews, Event};

/// What the thread is told.
pub(super) enum Message {
    /// Run these applications, which are all there are.
    Run(Vec<Wanted>),
    /// Start what these applications need beyond what runs; all processes anew of the one that is named.
    /// The outcome is sent under this number.
    Stage {
        wanted: Vec<Wanted>,
        restart: Option<String>,
        number: u64,
    },
    /// Let what was staged be asked, and what it replaces no more.
    Switch(Sender<()>),
    /// End what is not wanted any more.
    Settle,
    /// End what was staged.
    Abort,
    Describe(Sender<Vec<AppFacts>>),
    /// End all, and the thread.
    Stop,
    /// Kill what has not ended yet.
    Kill,
    Instance(InstanceId, Happened),
}

/// What runs.
pub(super) struct Manager {
    launcher: Launcher,
    apps: BTreeMap<String, RunningApp>,
    staging: Option<Staging>,
    leaving: Vec<Leaving>,
    is_stopping: bool,
    events: Sender<Event>,
}

/// What is to take over.
struct Staging {
    wanted: Vec<Wanted>,
    /// The new instances, by their application.
    sets: BTreeMap<String, Set>,
    /// `None` once the outcome was sent.
    number: Option<u64>,
}

struct Set {
    app: App,
    instances: Vec<Instance>,
    /// Whether they take the place of those that run, rather than a place beside them.
    replaces: bool,
}

impl Manager {
    pub(super) fn new(
        sockets: SocketDirectory,
        messages: Sender<Message>,
        events: Sender<Event>,
    ) -> Self {
        Self {
            launcher: Launcher::new(
                sockets,
                Arc::new(move |id, happened| {
                    // The manager is gone only while the process ends.
                    let _ = messages.send(Message::Instance(id, happened));
                }),
            ),
            apps: BTreeMap::new(),
            staging: None,
            leaving: Vec::new(),
            is_stopping: false,
            events,
        }
    }

    /// Does what it is told until it has ended everything.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        while !self.is_stopping || !self.leaving.is_empty() {
            let left = self.next_deadline().map(|deadline| {
                let now = Instant::now();
                deadline.saturating_duration_since(now)
            });
            match messages.recv_timeout(left.unwrap_or(Duration::MAX)) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the launcher holds a sender"),
            }
            self.look();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Run(wanted) => self.run_all(wanted),
            Message::Stage {
                wanted,
                restart,
                number,
            } => self.stage(wanted, restart.as_deref(), number),
            Message::Switch(done) => {
                self.switch();
                let _ = done.send(());
            }
            Message::Settle => self.settle(),
            Message::Abort => self.abort(),
            Message::Describe(reply) => {
                let _ = reply.send(self.facts());
            }
            Message::Stop => self.stop(),
            Message::Kill => self.leaving.iter_mut().for_each(Leaving::kill),
            Message::Instance(id, Happened::Ready) => self.note_ready(id),
            Message::Instance(id, Happened::Ended) => self.note_end(id),
        }
    }

    fn run_all(&mut self, wanted: Vec<Wanted>) {
        for wanted in wanted {
            let slots = (0..wanted.app.instances)
                .map(|_| Slot::start(&wanted.app, &mut self.launcher))
                .collect();
            let name = wanted.app.name().to_owned();
            self.apps.insert(name, RunningApp { wanted, slots });
        }
    }

    /// Starts what `wanted` needs and does not run yet.
    fn stage(&mut self, wanted: Vec<Wanted>, restart: Option<&str>, number: u64) {
        self.abort();
        let mut sets = BTreeMap::new();
        let mut failure = None;
        for Wanted { app, .. } in &wanted {
            let running = self.apps.get(app.name());
            let same = running.filter(|running| {
                running.wanted.app.process == app.process && restart != Some(app.name())
            });
            let missing =
                app.instances - same.map_or(0, |same| same.slots.len().min(app.instances));
            let mut instances = Vec::new();
            for _ in 0..missing {
                match self.launcher.launch(app) {
                    Ok(instance) => instances.push(instance),
                    Err(error) => {
                        failure =
                            Some(format!("app {}: {}", app.name(), diagnostic::chain(&error)));
                        break;
                    }
                }
            }
            if missing > 0 {
                let set = Set {
                    app: app.clone(),
                    instances,
                    replaces: same.is_none(),
                };
                sets.insert(app.name().to_owned(), set);
            }
        }
        let number = Some(number);
        self.staging = Some(Staging {
            wanted,
            sets,
            number,
        });
        match failure {
            Some(failure) => self.fail(failure),
            None => self.tell_if_all_are_ready(),
        }
    }

    /// Sends the outcome of the staging once all of its instances are ready.
    fn tell_if_all_are_ready(&mut self) {
        let Some(staging) = &mut self.staging else {
            return;
        };
        let mut instances = staging.sets.values().flat_map(|set| &set.instances);
        if instances.all(|instance| instance.ready.is_some())
            && let Some(number) = staging.number.take()
        {
            let outcome = Ok(());
            let _ = self
                .events
                .send(Event::Apps(AppsNews::Staged { number, outcome }));
        }
    }

    /// Ends the staging, because of `why`.
    fn fail(&mut self, why: String) {
        let number = self
            .staging
            .as_mut()
            .and_then(|staging| staging.number.take());
        match number {
            Some(number) => {
                let outcome = Err(why);
                let _ = self
                    .events
                    .send(Event::Apps(AppsNews::Staged { number, outcome }));
                self.abort();
            }
            // All were ready a moment ago, and are about to take over: `switch` has it started again.
            None => diagnostic::warn(format_args!("{why}")),
        }
    }

    fn abort(&mut self) {
        let Some(staging) = self.staging.take() else {
            return;
        };
        for set in staging.sets.into_values() {
            for instance in set.instances {
                self.leaving.push(Leaving::at_once(instance, &set.app));
            }
        }
    }

    fn switch(&mut self) {
        let Some(staging) = &mut self.staging else {
            return;
        };
        for wanted in staging.wanted.clone() {
            let name = wanted.app.name().to_owned();
            let set = staging.sets.remove(&name);
            if set.is_none() && !self.apps.contains_key(&name) {
                continue;
            }
            let running = self.apps.entry(name).or_insert_with(|| RunningApp {
                wanted: wanted.clone(),
                slots: Vec::new(),
            });
            let before = std::mem::replace(&mut running.wanted, wanted);
            let Some(set) = set else { continue };
            let replaced = if set.replaces {
                std::mem::take(&mut running.slots)
            } else {
                Vec::new()
            };
            running
                .slots
                .extend(set.instances.into_iter().map(Slot::of));
            // One may have ended since all were ready.
            while running.slots.len() < running.wanted.app.instances {
                running.slots.push(Slot::after_crash());
            }
            running.list();
            self.leaving.extend(leave(replaced, &before));
        }
    }

    fn settle(&mut self) {
        let Some(staging) = self.staging.take() else {
            return;
        };
        let is_wanted = |name: &str| {
            staging
                .wanted
                .iter()
                .any(|wanted| wanted.app.name() == name)
        };
        let apps = std::mem::take(&mut self.apps).into_iter();
        let (wanted, gone) = apps.partition(|(name, _)| is_wanted(name));
        self.apps = wanted;
        let gone: BTreeMap<String, RunningApp> = gone;
        for mut app in gone.into_values() {
            let slots = std::mem::take(&mut app.slots);
            app.list();
            self.leaving.extend(leave(slots, &app.wanted));
        }
        for app in self.apps.values_mut() {
            let surplus = app.take_surplus();
            if !surplus.is_empty() {
                app.list();
                self.leaving.extend(leave(surplus, &app.wanted));
            }
        }
    }

    /// Ends all instances, none of which has requests any more.
    fn stop(&mut self) {
        self.abort();
        self.is_stopping = true;
        for (_, mut app) in std::mem::take(&mut self.apps) {
            let slots = std::mem::take(&mut app.slots);
            app.list();
            let instances = slots.into_iter().filter_map(Slot::into_instance);
            self.leaving
                .extend(instances.map(|instance| Leaving::at_once(instance, &app.wanted.app)));
        }
    }

    fn note_ready(&mut self, id: InstanceId) {
        for (name, app) in &mut self.apps {
            if let Some(instance) = app.slots.iter_mut().find_map(|slot| slot.instance_of(id)) {
                instance.note_ready(name);
                diagnostic::info(format_args!(
                    "app {name}: process {} is ready",
                    instance.number()
                ));
                app.list();
                return;
            }
        }
        let Some(staging) = &mut self.staging else {
            return;
        };
        for (name, set) in &mut staging.sets {
            let mut instances = set.instances.iter_mut();
            if let Some(instance) = instances.find(|instance| instance.id == id) {
                instance.note_ready(name);
            }
        }
        self.tell_if_all_are_ready();
    }

    fn note_end(&mut self, id: InstanceId) {
        for app in self.apps.values_mut() {
            let mut slots = app.slots.iter_mut();
            if let Some(slot) = slots.find(|slot| slot.has(id)) {
                let ended = slot.note_end(&app.wanted.app);
                app.list();
                ended
                    .into_iter()
                    .for_each(|ended| self.launcher.bury(ended));
                return;
            }
        }
        if let Some(at) = self
            .leaving
            .iter()
            .position(|leaving| leaving.instance.id == id)
        {
            let leaving = self.leaving.swap_remove(at);
            self.launcher.bury(leaving.instance);
            return;
        }
        self.note_end_of_staged(id);
    }

    fn note_end_of_staged(&mut self, id: InstanceId) {
        let Some(staging) = &mut self.staging else {
            return;
        };
        let mut why = None;
        for (name, set) in &mut staging.sets {
            let at = set.instances.iter().position(|instance| instance.id == id);
            if let Some(at) = at {
                let ended = set.instances.swap_remove(at);
                let how = ended.exit().map(|exit| format!(" ({exit})"));
                why = Some(format!(
                    "app {name}: process {} ended{} before it was asked; what it wrote is in the log",
                    ended.number(),
                    how.unwrap_or_default()
                ));
                self.launcher.bury(ended);
            }
        }
        why.into_iter().for_each(|why| self.fail(why));
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        for app in self.apps.values_mut() {
            for slot in &mut app.slots {
                let late = slot.look(&app.wanted.app, &mut self.launcher, now);
                let late = late.map(|late| Leaving::at_once(late, &app.wanted.app));
                self.leaving.extend(late);
            }
        }
        self.leaving
            .iter_mut()
            .for_each(|leaving| leaving.look(now));
        let late = self.staged().find_map(|(name, instance)| {
            let is_late = instance.ready.is_none() && instance.ready_by <= now;
            let number = instance.number();
            is_late.then(|| {
                let time = instance.ready_by - instance.started;
                format!("app {name}: process {number} was not ready within {time:?}")
            })
        });
        late.into_iter().for_each(|why| self.fail(why));
    }

    /// The instances that are staged, with the names of their applications.
    fn staged(&self) -> impl Iterator<Item = (&str, &Instance)> {
        let sets = self.staging.iter().flat_map(|staging| &staging.sets);
        sets.flat_map(|(name, set)| {
            set.instances
                .iter()
                .map(|instance| (name.as_str(), instance))
        })
    }

    fn next_deadline(&self) -> Option<Instant> {
        let slots = self.apps.values().flat_map(|app| &app.slots);
        let staged = self.staged().map(|(_, instance)| instance);
        let staged = staged.filter(|instance| instance.ready.is_none());
        let leaving = self.leaving.iter().filter_map(Leaving::deadline);
        slots
            .filter_map(Slot::deadline)
            .chain(staged.map(|instance| instance.ready_by))
            .chain(leaving)
            .min()
    }

    fn facts(&self) -> Vec<AppFacts> {
        let mut facts: Vec<AppFacts> = self.apps.values().map(AppFacts::of).collect();
        for (name, instance) in self.staged() {
            AppFacts::find(&mut facts, name).add_staged(instance);
        }
        for leaving in &self.leaving {
            AppFacts::find(&mut facts, &leaving.app).add_leaving(&leaving.instance);
        }
        facts
    }
}

/// The instances of `slots`, which leave when their requests have ended.
fn leave(slots: Vec<Slot>, wanted: &Wanted) -> impl Iterator<Item = Leaving> {
    let instances = slots.into_iter().filter_map(Slot::into_instance);
    instances.map(|instance| Leaving::after_requests(instance, &wanted.app, &wanted.servers))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use rustix::process::Signal;

    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Surroundings};
    use crate::generation::prepare::prepare;
    use crate::supervisor::apps::slot::SlotState;
    use crate::supervisor::apps::wanted;
    use crate::test_support::TemporaryDirectory;

    const APP: &str = "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { proxy = 'app' }\n\
                       [apps.app]\ncommand = ['sh', '-c', 'exec python3 -m http.server --bind 127.0.0.1 $0', '${PORT}']\n";

    /// It was lost: no process was started in its place, and all requests were refused until the next
    /// reload.
    #[test]
    fn a_process_that_ends_before_the_switch_is_started_again() {
        let directory = TemporaryDirectory::new("manager");
        let handlers = Handlers::new();
        let surroundings = Surroundings::of_process(&handlers);
        let name = directory.path().join("config.toml");
        let checked = config::parse(APP.to_owned(), &name, surroundings);
        let prepared = prepare(checked, &handlers, None).expect("it is valid");
        let wanted = wanted(&prepared.loaded.config, &prepared.generation);
        let (sender, messages) = channel();
        let (events, _staged) = channel();
        let sockets = SocketDirectory::new(directory.path().join("apps"));
        let mut manager = Manager::new(sockets, sender, events);
        let take_until = |manager: &mut Manager, is_it: fn(&Happened) -> bool| loop {
            let message = messages.recv().expect("the launcher has a sender");
            let is_last = matches!(&message, Message::Instance(_, happened) if is_it(happened));
            manager.take(message);
            if is_last {
                return;
            }
        };
        manager.stage(wanted, None, 1);
        take_until(&mut manager, |happened| matches!(happened, Happened::Ready));
        let (_, instance) = manager.staged().next().expect("it is staged");
        instance.signal(Signal::KILL);
        take_until(&mut manager, |happened| matches!(happened, Happened::Ended));
        manager.switch();
        manager.settle();
        let slots = &manager.apps["app"].slots;
        assert!(matches!(
            slots[..],
            [Slot {
                state: SlotState::Pausing { .. },
                ..
            }]
        ));
    }
}
