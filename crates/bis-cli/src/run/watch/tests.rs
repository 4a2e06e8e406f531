//! Watches real folders. Every change here is found through a notification: the next check without one would be an hour
//! later.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tokio::sync::mpsc::{Receiver, channel};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
/// Whatever a test waits for comes within this time, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

struct Watched {
    folder: tempfile::TempDir,
    watch: Watch,
    events: Receiver<Event>,
}

impl Watched {
    /// Watches the folder `app`, and the files of these names beside it.
    fn new(prepare: impl FnOnce(&Path), exact: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("app/src")).unwrap();
        prepare(&root);
        let (sender, events) = channel(16);
        let inputs =
            Inputs::new([root.join("app")].into(), exact.iter().map(|path| root.join(path)).collect());
        let watch = Watch::look_every(HOUR, inputs, sender).unwrap();
        Self { folder, watch, events }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    #[track_caller]
    fn next(&mut self) -> Event {
        let end = Instant::now() + LIMIT;
        loop {
            match self.events.try_recv() {
                Ok(event) => return event,
                Err(_) => assert!(Instant::now() < end, "nothing was noticed"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The files in the next change.
    #[track_caller]
    fn changed(&mut self) -> Vec<String> {
        loop {
            if let Event::Changed(changes) = self.next()
                && !changes.files.is_empty()
            {
                let root = self.at("");
                let names = changes.files.keys().map(|path| path.strip_prefix(&root).unwrap().to_owned());
                return names.map(|path| path.display().to_string()).collect();
            }
        }
    }
}

#[test]
fn a_folder_that_is_replaced_again_and_again_stays_watched() {
    let mut app = Watched::new(|root| fs::write(root.join("app/src/a.rs"), "0").unwrap(), &[]);
    for round in 1..=10 {
        // By turns, removed and created again, or replaced by another.
        if round % 2 == 0 {
            fs::remove_dir_all(app.at("app/src")).unwrap();
            fs::create_dir(app.at("app/src")).unwrap();
            fs::write(app.at("app/src/a.rs"), format!("replaced {round}")).unwrap();
        } else {
            fs::create_dir(app.at("new")).unwrap();
            fs::write(app.at("new/a.rs"), format!("replaced {round}")).unwrap();
            fs::rename(app.at("app/src"), app.at(&format!("old {round}"))).unwrap();
            fs::rename(app.at("new"), app.at("app/src")).unwrap();
        }
        while app.changed() != ["app/src/a.rs"] || !fs::exists(app.at("app/src/a.rs")).unwrap() {}
        fs::write(app.at("app/src/a.rs"), format!("saved {round}")).unwrap();
        assert_eq!(app.changed(), ["app/src/a.rs"]);
    }
}

#[test]
fn a_save_counts_when_content_changes() {
    let prepare = |root: &Path| {
        fs::write(root.join("app/src/a.rs"), "same").unwrap();
        fs::write(root.join("app/src/b.rs"), "one").unwrap();
    };
    let mut app = Watched::new(prepare, &[]);
    fs::write(app.at("app/src/a.rs"), "same").unwrap();
    let Event::Changed(changes) = app.next() else { panic!("no change") };
    assert!(changes.files.is_empty(), "{changes:?}");
    assert_eq!(changes.touched.keys().collect::<Vec<_>>(), [&app.at("app/src/a.rs")]);
    fs::write(app.at("app/src/b.rs"), "two").unwrap();
    assert_eq!(app.changed(), ["app/src/b.rs"]);
    // The same size and time as before.
    let time = fs::metadata(app.at("app/src/b.rs")).unwrap().modified().unwrap();
    fs::write(app.at("app/src/b.rs"), "six").unwrap();
    fs::File::open(app.at("app/src/b.rs")).unwrap().set_modified(time).unwrap();
    assert_eq!(app.changed(), ["app/src/b.rs"]);
    fs::remove_file(app.at("app/src/b.rs")).unwrap();
    assert_eq!(app.changed(), ["app/src/b.rs"]);
}

#[test]
fn files_by_name_count_wherever_they_are_and_before_they_exist() {
    let mut app = Watched::new(|_| {}, &["shared/text/hello.txt", "protos"]);
    fs::create_dir_all(app.at("shared/text")).unwrap();
    fs::write(app.at("shared/text/other.txt"), "").unwrap();
    fs::write(app.at("shared/text/hello.txt"), "").unwrap();
    assert_eq!(app.changed(), ["shared/text/hello.txt"]);
    fs::create_dir(app.at("protos")).unwrap();
    fs::write(app.at("protos/a.proto"), "").unwrap();
    assert_eq!(app.changed(), ["protos/a.proto"]);
    fs::write(app.at("protos/a.proto"), "more").unwrap();
    assert_eq!(app.changed(), ["protos/a.proto"]);
}

#[test]
fn a_link_counts_with_what_it_leads_to() {
    let prepare = |root: &Path| {
        for name in ["one", "two"] {
            fs::create_dir(root.join(name)).unwrap();
            fs::write(root.join(name).join("text"), name).unwrap();
        }
        symlink(root.join("one/text"), root.join("app/src/linked.rs")).unwrap();
        symlink("../../one", root.join("app/src/folder")).unwrap();
        fs::write(root.join("one/inner.rs"), "").unwrap();
    };
    let mut app = Watched::new(prepare, &[]);
    fs::write(app.at("one/text"), "more").unwrap();
    assert_eq!(app.changed(), ["app/src/linked.rs"]);
    fs::write(app.at("one/inner.rs"), "more").unwrap();
    assert_eq!(app.changed(), ["app/src/folder/inner.rs"]);
    symlink(app.at("two/text"), app.at("link")).unwrap();
    fs::rename(app.at("link"), app.at("app/src/linked.rs")).unwrap();
    assert_eq!(app.changed(), ["app/src/linked.rs"]);
    fs::write(app.at("two/text"), "yet more").unwrap();
    assert_eq!(app.changed(), ["app/src/linked.rs"]);
}

#[test]
fn what_joins_later_counts_when_it_was_written_meanwhile() {
    let prepare = |root: &Path| fs::write(root.join("before.txt"), "").unwrap();
    let mut app = Watched::new(prepare, &[]);
    std::thread::sleep(Duration::from_millis(50));
    let since = SystemTime::now() - Duration::from_millis(20);
    fs::write(app.at("during.txt"), "").unwrap();
    let exact: BTreeSet<PathBuf> = [app.at("before.txt"), app.at("during.txt")].into();
    app.watch.add(Inputs::new(BTreeSet::new(), exact), since);
    assert_eq!(app.changed(), ["during.txt"]);
    fs::write(app.at("before.txt"), "more").unwrap();
    assert_eq!(app.changed(), ["before.txt"]);
}

#[test]
fn any_new_file_counts_when_it_is_asked_for() {
    let mut app = Watched::new(|_| {}, &[]);
    app.watch.expect_any_file(true);
    fs::write(app.at("app/query.sql"), "").unwrap();
    assert_eq!(app.changed(), ["app/query.sql"]);
}

#[test]
fn lost_notifications_are_told() {
    let mut app = Watched::new(|_| {}, &[]);
    let lost = notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    app.watch.wake.send(Hint::Notified(lost)).unwrap();
    assert!(matches!(app.next(), Event::WatchOverflowed));
}
