//! Resources in a process: there before it is ready, gone after everything that uses them, and what the log says of those that
//! cannot be made or do not go.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bis::prelude::*;

use super::{ANY_PORT, Process, check_refused, end_with, get, post};

mod stores {
    use super::*;

    bis::service!("stores");

    /// Says when it is made and when it goes.
    pub(super) struct Told(&'static str);

    impl Told {
        async fn disk() -> Result<Self> {
            println!("disk is made");
            Ok(Self("disk"))
        }

        async fn index() -> Result<Self> {
            let disk = DISK.ready().await?;
            println!("index is made on {}", disk.0);
            Ok(Self("index"))
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            println!("{} goes", self.0);
        }
    }

    // Above what it needs, so that the order is not that of the source.
    static INDEX: Resource<Told> = bis::resource!(Told::index);
    static DISK: Resource<Told> = bis::resource!(Told::disk);

    #[derive(Event, Serialize, Deserialize)]
    struct Asked {
        millis: u64,
    }

    static ASKED: Topic<Asked> = Topic::new("asked");

    #[api(POST, "/ask/{millis}", public)]
    async fn ask(Path(millis): Path<u64>) -> Result<()> {
        ASKED.publish(&Asked { millis }).await?;
        Ok(())
    }

    #[subscription(ASKED)]
    async fn answer(asked: Asked) -> Result<()> {
        println!("answer begins");
        bis::time::sleep(Duration::from_millis(asked.millis)).await;
        println!("answer has {}", INDEX.get().0);
        Ok(())
    }

    #[on_stop]
    async fn close() -> Result<()> {
        println!("closed with {}", INDEX.get().0);
        Ok(())
    }

    #[api(GET, "/names", public)]
    async fn names() -> Result<String> {
        Ok(format!("{} and {}", DISK.get().0, INDEX.get().0))
    }
}

mod held {
    use super::*;

    bis::service!("held");

    struct Lent;

    impl Lent {
        async fn out() -> Result<Self> {
            Ok(Self)
        }
    }

    static LENT: Resource<Lent> = bis::resource!(Lent::out);
    static KEPT: Mutex<Option<Arc<Lent>>> = Mutex::new(None);

    #[on_start]
    async fn keep() -> Result<()> {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(LENT.get());
        Ok(())
    }
}

mod stuck {
    use super::*;

    bis::service!("stuck");

    /// Looks for itself in a task of its own until it is gone, and blocks when it is dropped.
    struct Stuck;

    impl Stuck {
        async fn open() -> Result<Self> {
            bis::spawn(async {
                loop {
                    bis::time::sleep(Duration::from_millis(5)).await;
                    if let Err(error) = STUCK.try_get()
                        && error.to_string().contains("stop")
                    {
                        println!("{error}");
                        return;
                    }
                }
            });
            Ok(Self)
        }
    }

    impl Drop for Stuck {
        fn drop(&mut self) {
            println!("it is stuck");
            std::thread::sleep(Duration::from_secs(600));
        }
    }

    static STUCK: Resource<Stuck> = bis::resource!(Stuck::open);
}

mod failing {
    use super::*;

    bis::service!("failing");

    struct Database;

    impl Database {
        async fn connect() -> Result<Self> {
            Err(Error::msg("nobody listens at db:5432"))
        }
    }

    #[expect(dead_code, reason = "it is never there")]
    static DATABASE: Resource<Database> = bis::resource!(Database::connect);
}

mod full {
    use super::stores;
    bis::app!(services: [stores]);
}

mod lent {
    use super::held;
    bis::app!(services: [held]);
}

mod blocked {
    use super::stuck;
    bis::app!(services: [stuck]);
}

mod broken {
    use super::failing;
    bis::app!(services: [failing]);
}

#[test]
fn resources_outlive_everything_that_uses_them() {
    let mut process = Process::start("state::stores_app", ANY_PORT, &[]);
    process.expect("disk is made");
    process.expect("index is made on disk");
    let address = process.ready();
    assert!(get(&address, "/names").ends_with("disk and index"));
    assert!(post(&address, "/ask/300").starts_with("HTTP/1.1 200"));
    process.expect("answer begins");
    process.signal("TERM");
    for line in ["answer has index", "closed with index", "index goes", "disk goes"] {
        process.expect(line);
    }
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_value_that_somebody_still_holds_is_told_at_the_stop() {
    let mut process = Process::start("state::held_app", ANY_PORT, &[]);
    process.ready();
    process.signal("TERM");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.lines().any(|line| line.contains("WARN") && line.contains("LENT")), "{stderr}");
}

#[test]
fn a_destructor_that_blocks_does_not_take_the_stop_with_it() {
    let config = r#"{"http":{"address":"127.0.0.1:0"},"app":{"stop_within":"500ms"}}"#;
    let mut process = Process::start("state::stuck_app", config, &[]);
    process.ready();
    process.signal("TERM");
    process.expect("it is stuck");
    // What is read from now on is an error that says why.
    process.expect("STUCK");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.lines().any(|line| line.contains("WARN") && line.contains("STUCK")), "{stderr}");
}

#[test]
fn a_resource_that_cannot_be_made_keeps_the_app_from_starting() {
    check_refused("state::failing_app", ANY_PORT, &["failing::DATABASE", "nobody listens at db:5432"]);
}

#[test]
#[ignore = "the process that the other tests start"]
fn stores_app() {
    end_with(full::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn held_app() {
    end_with(lent::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn stuck_app() {
    end_with(blocked::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn failing_app() {
    end_with(broken::app().main());
}
