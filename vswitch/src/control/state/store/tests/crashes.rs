//! A process that ends, or a disk that refuses, at any step of a long story.

use super::*;

/// What is done to a store, one after another. Each document has another number.
#[derive(Clone, Copy, Debug)]
enum Op {
    Begin(usize),
    Save(usize),
    SavePending(usize),
    Confirm,
    RollBack,
}

const STORY: &[Op] = &[
    Op::Begin(0),
    Op::Save(1),
    Op::Save(2),
    Op::SavePending(3),
    Op::Confirm,
    Op::SavePending(4),
    Op::RollBack,
    Op::Save(5),
    Op::SavePending(6),
    Op::RollBack,
    Op::SavePending(7),
    Op::Confirm,
    Op::Begin(8),
    Op::Save(9),
];

/// What is on the disk as far as anybody was told, and what an operation in flight would make of
/// it.
#[derive(Clone, Debug, Default)]
struct Model {
    generation: u64,
    acknowledged: Option<usize>,
    pending: Option<usize>,
}

impl Model {
    fn run(&mut self, op: Op, store: &mut StateStore) -> Result<(), StateError> {
        let next = self.generation + 1;
        let (done, after) = match op {
            Op::Begin(number) => (store.begin(&document(number), next), (Some(number), None)),
            Op::Save(number) => (store.save(&document(number), next), (Some(number), None)),
            Op::SavePending(number) => {
                let done = store.save_pending(&document(number), next);
                (done, (self.acknowledged, Some(number)))
            }
            Op::Confirm => (store.confirm(), (self.pending, None)),
            Op::RollBack => (store.roll_back(next), (self.acknowledged, None)),
        };
        if done.is_ok() {
            (self.acknowledged, self.pending) = after;
            // What is confirmed stays the generation that it is.
            self.generation = if matches!(op, Op::Confirm) { self.generation } else { next };
        }
        done
    }

    /// What a restart may find if it comes in the middle of an operation.
    fn allowed(&self, op: Op) -> Vec<Option<usize>> {
        match op {
            Op::Begin(number) | Op::Save(number) => vec![self.acknowledged, Some(number)],
            Op::Confirm => vec![self.acknowledged, self.pending],
            Op::SavePending(_) | Op::RollBack => vec![self.acknowledged],
        }
    }
}

const KILLS: [Fault; 3] = [
    Fault::Kill { of_write: |_| 0 },
    Fault::Kill { of_write: |all| all / 2 },
    Fault::Kill { of_write: |all| all },
];

/// Runs the story until the fault. Returns the model and what failed, or `None` if nothing did.
fn run_until_fault(world: &World, steps: usize) -> (Model, Option<Op>) {
    let mut model = Model::default();
    let (mut store, _) = world.open_faulty().unwrap();
    world.faults().left = Some(steps);
    for &op in STORY {
        if model.run(op, &mut store).is_err() {
            return (model, Some(op));
        }
        // A failure that the operation can go on without is a kill all the same.
        if world.faults().dead {
            return (model, Some(op));
        }
    }
    (model, None)
}

#[test]
fn a_kill_between_any_two_steps_leaves_the_last_acknowledged_or_the_one_in_flight() {
    for fault in KILLS {
        let mut seen_in_flight = 0;
        for steps in 0.. {
            let world = World::new(fault);
            let (model, failed) = run_until_fault(&world, steps);
            let Some(op) = failed else {
                assert!(steps > 50, "only {steps} steps");
                break;
            };
            // Of an operation that was acknowledged as it died, the model has the outcome already.
            let allowed = match op {
                Op::Confirm if model.pending.is_none() => vec![model.acknowledged],
                op => model.allowed(op),
            };
            let (store, loaded) = world.open();
            let found = number_of(&loaded);
            assert!(allowed.contains(&found), "step {steps}, {op:?}: {found:?} of {allowed:?}");
            seen_in_flight += usize::from(found != model.acknowledged);
            assert!(loaded.reports.iter().all(|report| report.contains("not confirmed")));
            assert!(
                model.pending.is_none()
                    || found != model.acknowledged
                    || loaded.reports.len() == 1
                    || matches!(op, Op::RollBack),
                "{op:?}: {loaded:?}"
            );
            assert!(loaded.generation >= model.generation.max(1), "{op:?}: {loaded:?}");
            assert!(!store.awaits_confirmation());
            drop(store);
            // The second start finds the same, and has nothing more to tell.
            let (_, again) = world.open();
            assert_eq!(again.state.map(|s| s.document), loaded.state.map(|s| s.document));
            assert_eq!((again.generation, again.reports), (loaded.generation, vec![]));
            let rest = world.names();
            assert!(
                rest.iter().all(|n| !n.ends_with(".new") && !n.ends_with(".pending")),
                "{rest:?}"
            );
        }
        assert!(seen_in_flight > 0, "no kill came after the decisive step");
    }
}

#[test]
fn a_kill_during_the_start_after_a_kill_changes_nothing() {
    for steps in 0.. {
        let killed = World::new(KILLS[1]);
        let (_, Some(op)) = run_until_fault(&killed, steps) else { break };
        let copy = || {
            let world = World::new(KILLS[1]);
            for name in killed.names() {
                std::fs::copy(killed.file(&name), world.file(&name)).unwrap();
            }
            world
        };
        let found = number_of(&copy().open().1);
        for steps_of_start in 0.. {
            let world = copy();
            world.faults().left = Some(steps_of_start);
            drop(world.open_faulty());
            let survived = world.faults().left.is_some();
            let (_, loaded) = world.open();
            assert_eq!(number_of(&loaded), found, "{steps}, {op:?}, {steps_of_start}");
            if survived {
                break;
            }
        }
    }
}

#[test]
fn an_error_at_any_step_refuses_the_change_and_a_restart_does_not_see_it() {
    for (steps, goes_on) in (0..).flat_map(|steps| [(steps, false), (steps, true)]) {
        let world = World::new(Fault::Error);
        let mut model = Model::default();
        let (mut store, _) = world.open_faulty().unwrap();
        world.faults().left = Some(steps);
        let failed = STORY.iter().position(|&op| model.run(op, &mut store).is_err());
        if world.faults().left.is_some() {
            assert!(failed.is_none());
            break;
        }
        // Housekeeping may fail without harm; then the story went on to its end.
        let Some(failed) = failed else {
            assert_eq!(
                number_of(&{
                    drop(store);
                    world.open().1
                }),
                model.acknowledged
            );
            continue;
        };
        // The process goes on. An undone change is undone even if the disk could not be told.
        let op = STORY[failed];
        if matches!(op, Op::RollBack) {
            model.pending = None;
        }
        assert_eq!(store.awaits_confirmation(), model.pending.is_some(), "{op:?}");
        if goes_on {
            let rest = if matches!(op, Op::RollBack) { failed + 1 } else { failed };
            for &op in &STORY[rest..] {
                model.run(op, &mut store).unwrap_or_else(|error| panic!("{op:?}: {error}"));
            }
            assert_eq!(model.acknowledged, Some(9));
        }
        drop(store);
        let (_, loaded) = world.open();
        assert_eq!(number_of(&loaded), model.acknowledged, "step {steps}, {op:?}");
    }
}

#[test]
fn what_is_acknowledged_is_on_the_disk() {
    let world = World::new(Fault::Error);
    let mut model = Model::default();
    let (mut store, _) = world.open_faulty().unwrap();
    for &op in STORY {
        world.faults().log.clear();
        model.run(op, &mut store).unwrap();
        let log = world.faults().log.clone();
        let decisive = log.iter().rposition(|step| step.starts_with("rename ")).unwrap();
        assert!(log[decisive..].contains(&"sync".to_owned()), "{op:?}: {log:?}");
    }
}
