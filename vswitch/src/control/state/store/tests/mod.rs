mod choice;
mod crashes;
mod files;

use std::sync::{Arc, Mutex, MutexGuard};

use tempfile::TempDir;

use super::*;
use crate::config::{Config, parse};
use crate::control::state::{Origin, Start, choose, default_directory};

/// A configuration that differs from others by its number.
fn config(number: usize) -> Config {
    let text = format!(
        "[[port]]\nname = \"a\"\ndevice = \"net_tap0\"\n\
         [[network]]\nname = \"n{number}\"\nvni = {}\n  [[network.port]]\n  port = \"a\"\n",
        number + 1
    );
    parse("f", &text).unwrap()
}

fn document(number: usize) -> Document {
    Document::from(&config(number))
}

fn state(number: usize, generation: u64) -> State {
    let files = vec![Checksum::of(&document(number)), Checksum::of(&document(number + 1))];
    State { document: document(number), generation, files }
}

/// How an operation fails at the chosen step.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The process is gone: nothing happens any more. Of a write, this much of its bytes is there.
    Kill { of_write: fn(usize) -> usize },
    /// The operating system refuses once.
    Error,
}

#[derive(Debug)]
struct Faults {
    /// Steps until the fault; `None`: there is none any more.
    left: Option<usize>,
    fault: Fault,
    dead: bool,
    log: Vec<String>,
}

/// A folder that fails at a chosen step. It syncs nothing: what a killed process wrote, the kernel
/// has.
#[derive(Debug)]
struct Faulty {
    folder: Folder,
    faults: Arc<Mutex<Faults>>,
}

impl Faulty {
    /// One step; `Err` if it is the one that fails.
    fn step(&self, what: String) -> io::Result<()> {
        let mut faults = self.faults.lock().unwrap();
        faults.log.push(what);
        match (faults.dead, faults.left) {
            (true, _) => Err(io::Error::other("the process is gone")),
            (_, Some(0)) => {
                faults.left = None;
                faults.dead = matches!(faults.fault, Fault::Kill { .. });
                Err(io::Error::other("no luck"))
            }
            (_, left) => {
                faults.left = left.map(|left| left - 1);
                Ok(())
            }
        }
    }
}

impl Disk for Faulty {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let was_dead = self.faults.lock().unwrap().dead;
        self.step(format!("write {name}")).inspect_err(|_| {
            let fault = self.faults.lock().unwrap().fault;
            if let (Fault::Kill { of_write }, false) = (fault, was_dead) {
                self.folder.remove(name).unwrap();
                std::fs::write(self.folder.at(name), &bytes[..of_write(bytes.len())]).unwrap();
            }
        })?;
        self.folder.remove(name)?;
        std::fs::write(self.folder.at(name), bytes)
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        // Two steps of the folder's.
        self.step(format!("remove {second}"))?;
        self.folder.remove(second)?;
        self.step(format!("link {name} {second}"))?;
        self.folder.link(name, second)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        // Two steps of the folder's.
        self.step(format!("rename {from} {to}"))?;
        self.folder.rename(from, to)?;
        self.step(format!("remove {from}"))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(format!("remove {name}"))?;
        self.folder.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.step("sync".to_owned())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.folder.names()
    }
}

/// A directory and what is going to go wrong in it.
struct World {
    directory: TempDir,
    faults: Arc<Mutex<Faults>>,
}

impl World {
    fn new(fault: Fault) -> Self {
        let faults = Faults { left: None, fault, dead: false, log: Vec::new() };
        Self { directory: tempfile::tempdir().unwrap(), faults: Arc::new(Mutex::new(faults)) }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    /// Opens the store; may fail.
    fn open_faulty(&self) -> Result<(StateStore, Loaded), StateError> {
        let folder = Folder::open(self.directory.path()).unwrap().unwrap();
        let disk = Faulty { folder, faults: self.faults.clone() };
        StateStore::on(self.directory.path(), Box::new(disk))
    }

    /// What a new process finds.
    fn open(&self) -> (StateStore, Loaded) {
        StateStore::open(self.directory.path()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Which of the numbered documents was found.
fn number_of(loaded: &Loaded) -> Option<usize> {
    let state = loaded.state.as_ref()?;
    let number = (0..10).find(|&number| state.document == document(number));
    Some(number.unwrap_or_else(|| panic!("a mixture: {state:?}")))
}

#[test]
fn a_confirmation_that_fails_can_be_tried_again() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open_faulty().unwrap();
    store.begin(&document(0), 1).unwrap();
    store.save_pending(&document(1), 2).unwrap();
    assert!(matches!(store.save(&document(2), 3), Err(StateError::AwaitsConfirmation)));
    assert!(matches!(store.save_pending(&document(2), 3), Err(StateError::AwaitsConfirmation)));
    world.faults().left = Some(3);
    assert!(matches!(store.confirm(), Err(StateError::Write { .. })));
    store.confirm().unwrap();
    assert!(matches!(store.confirm(), Err(StateError::NothingPending)));
    assert!(matches!(store.roll_back(3), Err(StateError::NothingPending)));
    drop(store);
    assert_eq!(number_of(&world.open().1), Some(1));
}

#[test]
fn an_unconfirmed_configuration_is_undone_told_and_kept() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open();
    store.begin(&document(0), 1).unwrap();
    store.save_pending(&document(1), 2).unwrap();
    drop(store);

    let (store, loaded) = world.open();
    let [report] = &loaded.reports[..] else { panic!("{loaded:?}") };
    assert!(report.contains("generation 2 was not confirmed"), "{report}");
    assert_eq!((number_of(&loaded), loaded.generation), (Some(0), 3));
    let kept = std::fs::read(world.file(UNCONFIRMED)).unwrap();
    assert_eq!(State::decode(&kept).unwrap().document, document(1));
    drop(store);
    // Nor does it come back by the file that said it.
    let start = choose(loaded, config(1), false);
    assert_eq!((start.config, start.origin), (config(0), Origin::StateAndNotFile));
}

#[test]
fn one_switch_at_a_time() {
    let world = World::new(Fault::Error);
    let below = world.directory.path().join("a/b");
    let (store, _) = StateStore::open(&below).unwrap();
    assert!(matches!(StateStore::open(&below), Err(StateError::InUse { .. })));
    drop(store);
    assert!(StateStore::open(&below).is_ok());
    std::fs::write(world.file("file"), "").unwrap();
    let said = StateStore::open(&world.file("file")).unwrap_err().to_string();
    assert!(said.contains("cannot use the state directory") && said.contains("--state"), "{said}");
}

#[test]
fn states_that_were_replaced_are_kept_but_not_for_ever() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open();
    for number in 0..REPLACED_KEPT + 3 {
        store.begin(&document(number), 1).unwrap();
        store.begin(&document(number), 1).unwrap(); // nothing to keep: it says the same
    }
    let kept: Vec<_> = world.names().into_iter().filter(|n| n.starts_with(REPLACED)).collect();
    assert_eq!(kept.len(), REPLACED_KEPT);
    let newest = std::fs::read(world.file(&format!("{REPLACED}{}", REPLACED_KEPT + 2))).unwrap();
    assert_eq!(State::decode(&newest).unwrap().document, document(REPLACED_KEPT + 1));
}

#[test]
fn the_file_that_a_state_began_with_is_never_forgotten() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open();
    store.begin(&document(0), 1).unwrap();
    for number in 1..40 {
        store.save_file(&document(number), 2).unwrap();
    }
    drop(store);
    let files = world.open().1.state.unwrap().files;
    assert_eq!(files.len(), file::MAX_FILES);
    for number in [0, 39, 38, 25] {
        assert!(files.contains(&Checksum::of(&document(number))), "{number}");
    }
}

/// Others were in force and could not be saved: their generations do not come again after a
/// restart.
#[test]
fn the_state_counts_on_as_it_is() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open();
    store.begin(&document(1), 4).unwrap();
    store.count_on(6).unwrap();
    store.count_on(5).unwrap();
    drop(store);
    let (mut store, loaded) = world.open();
    assert_eq!((number_of(&loaded), loaded.generation), (Some(1), 6));
    store.save_pending(&document(2), 7).unwrap();
    store.count_on(9).unwrap();
    store.confirm().unwrap();
    drop(store);
    assert_eq!(number_of(&world.open().1), Some(2));
}

#[test]
fn a_file_that_could_not_be_saved_is_not_known() {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open_faulty().unwrap();
    store.begin(&document(0), 1).unwrap();
    world.faults().left = Some(0);
    assert!(matches!(store.save_file(&document(1), 2), Err(StateError::Write { .. })));
    store.save(&document(2), 2).unwrap();
    drop(store);
    // It was refused, so it is still news.
    let start = choose(world.open().1, config(1), false);
    assert_eq!((start.config, start.origin), (config(1), Origin::FileAndNotState));
}
