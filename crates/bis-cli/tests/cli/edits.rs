//! Random edits of a project under `bis run`, each of which must end in the right program: a few here, a thousand with
//! `BIS_LONG`. `BIS_EDITS_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{LIMIT, Run, StandIn, address, get};

const EDITS: u32 = 12;
const EDITS_LONG: u32 = 1_000;

/// The sources of the parts of the answer.
const PARTS: [&str; 5] = ["src/parts/one.rs", "dep/src/lib.rs", "beside/text", "beside/input", "links/0.rs"];

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A short pause, often none.
    fn pause(&mut self) {
        let milliseconds = [0, 0, 5, 40, 90, 300][self.below(6) as usize];
        thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// The project, and the expected answer.
struct Project {
    app: StandIn,
    random: Random,
    /// The number in each of [`PARTS`]; the last is that of the file that the link leads to.
    numbers: [u64; 5],
    /// The number in each file of `links`.
    linked: [u64; 3],
    leads_to: usize,
    /// An earlier folder of parts, with its number.
    kept: Option<(PathBuf, u64)>,
    next: u64,
}

impl Project {
    fn new(seed: u64) -> Self {
        let app = StandIn::new();
        let project = Self {
            app,
            random: Random(seed),
            numbers: [0; 5],
            linked: [0; 3],
            leads_to: 0,
            kept: None,
            next: 1,
        };
        for folder in ["src/parts", "dep/src", "beside", "links"] {
            fs::create_dir_all(project.at(folder)).unwrap();
        }
        let source = include_str!("support/stand_in.rs")
            .replace("let body = format!(\"{VERSION} ", "let body = format!(\"{} ")
            .replace("\", std::process::id());", "\", version(), std::process::id());");
        let version = "mod parts;\nmod made;\nmod linked;\nfn version() -> String {\n    let _ = (VERSION, made::TIME);\n    \
                       format!(\"{}-{}-{}-{}-{}\", parts::one::N, dep::N, include_str!(\"../beside/text\"), made::N, linked::N)\n}\n";
        let script = "fn main() {\n    println!(\"cargo:rerun-if-changed=beside/input\");\n    \
                      let number = std::fs::read_to_string(\"beside/input\").unwrap();\n    \
                      let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();\n    \
                      std::fs::write(\"src/made.rs\", format!(\"pub const N: u64 = {number};\\npub const TIME: u128 = {time};\\n\")).unwrap();\n}\n";
        let manifest = include_str!("support/stand_in.toml").to_owned() + "dep = { path = \"dep\" }\n";
        let dependency = "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        for (path, text) in [
            ("Cargo.toml", &*manifest),
            ("dep/Cargo.toml", dependency),
            ("build.rs", script),
            ("src/main.rs", &(source + version)),
            ("src/made.rs", "pub const N: u64 = 0;\npub const TIME: u128 = 0;\n"),
            ("src/parts/mod.rs", "pub mod one;\n"),
        ] {
            fs::write(project.at(path), text).unwrap();
        }
        for (part, path) in PARTS.iter().enumerate() {
            fs::write(project.at(path), text(part, 0)).unwrap();
        }
        for link in 1..3 {
            fs::write(project.at(&format!("links/{link}.rs")), text(4, 0)).unwrap();
        }
        symlink("../links/0.rs", project.at("src/linked.rs")).unwrap();
        project
    }

    fn at(&self, path: &str) -> PathBuf {
        self.app.folder.path().join(path)
    }

    fn expected(&self) -> String {
        self.numbers.map(|number| number.to_string()).join("-")
    }

    /// One edit of a random kind; returns what it was.
    fn edit(&mut self) -> String {
        let part = self.random.below(5) as usize;
        let kind = self.random.below(9);
        match kind {
            0 => self.save(part, false),
            1 => self.save(part, true),
            2 => self.break_and_mend(part),
            3 => self.delete_and_make(part),
            4 => self.exchange_folder(),
            5 => self.make_folder_again(),
            6 => self.lead_elsewhere(),
            7 => self.there_and_back(part),
            _ => self.move_module(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn path(&self, part: usize) -> PathBuf {
        if part == 4 { self.at(&format!("links/{}.rs", self.leads_to)) } else { self.at(PARTS[part]) }
    }

    fn set(&mut self, part: usize, number: u64) {
        self.numbers[part] = number;
        if part == 4 {
            self.linked[self.leads_to] = number;
        }
    }

    fn save(&mut self, part: usize, by_rename: bool) -> String {
        let number = self.number();
        let path = self.path(part);
        if by_rename {
            let draft = self.at("draft");
            fs::write(&draft, text(part, number)).unwrap();
            self.random.pause();
            fs::rename(draft, &path).unwrap();
        } else {
            fs::write(&path, text(part, number)).unwrap();
        }
        self.set(part, number);
        format!("save {}, by rename: {by_rename}", path.display())
    }

    fn break_and_mend(&mut self, part: usize) -> String {
        fs::write(self.path(part), "not rust").unwrap();
        self.random.pause();
        self.random.pause();
        format!("break, then {}", self.save(part, false))
    }

    fn delete_and_make(&mut self, part: usize) -> String {
        fs::remove_file(self.path(part)).unwrap();
        self.random.pause();
        format!("delete, then {}", self.save(part, false))
    }

    fn there_and_back(&mut self, part: usize) -> String {
        let before = self.numbers[part];
        self.save(part, false);
        self.random.pause();
        fs::write(self.path(part), text(part, before)).unwrap();
        self.set(part, before);
        format!("there and back {}", PARTS[part])
    }

    /// Swaps the folder of parts for a new one, or for the previous one, whose files are older than the last build.
    fn exchange_folder(&mut self) -> String {
        let (folder, number) = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let number = self.number();
                let folder = self.at("prepared");
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join("mod.rs"), "pub mod one;\n").unwrap();
                fs::write(folder.join("one.rs"), text(0, number)).unwrap();
                (folder, number)
            }
        };
        self.random.pause();
        let number_of_folder = self.number();
        let kept = self.at(&format!("kept-{number_of_folder}"));
        fs::rename(self.at("src/parts"), &kept).unwrap();
        self.random.pause();
        fs::rename(folder, self.at("src/parts")).unwrap();
        self.kept = Some((kept, self.numbers[0]));
        self.set(0, number);
        "exchange src/parts".to_owned()
    }

    fn make_folder_again(&mut self) -> String {
        fs::remove_dir_all(self.at("src/parts")).unwrap();
        self.random.pause();
        fs::create_dir(self.at("src/parts")).unwrap();
        fs::write(self.at("src/parts/mod.rs"), "pub mod one;\n").unwrap();
        self.random.pause();
        format!("remove the folder, then {}", self.save(0, false))
    }

    fn lead_elsewhere(&mut self) -> String {
        self.leads_to = (self.leads_to + 1) % self.linked.len();
        let link = self.at("src/linked.rs");
        fs::remove_file(&link).unwrap();
        self.random.pause();
        symlink(format!("../links/{}.rs", self.leads_to), link).unwrap();
        self.numbers[4] = self.linked[self.leads_to];
        format!("lead src/linked.rs to links/{}.rs", self.leads_to)
    }

    /// Moves a module to a folder of its own and back, with another number.
    fn move_module(&mut self) -> String {
        let (file, folder) = (self.at("src/parts/one.rs"), self.at("src/parts/one"));
        fs::create_dir(&folder).unwrap();
        fs::rename(&file, folder.join("mod.rs")).unwrap();
        self.random.pause();
        fs::rename(folder.join("mod.rs"), &file).unwrap();
        fs::remove_dir(folder).unwrap();
        format!("move a module, then {}", self.save(0, false))
    }
}

/// The content of a part's file.
fn text(part: usize, number: u64) -> String {
    match PARTS[part] {
        "beside/text" | "beside/input" => number.to_string(),
        _ => format!("pub const N: u64 = {number};\n"),
    }
}

fn wait_for(address: SocketAddr, run: &Run, expected: &str, what: &str) {
    let end = Instant::now() + LIMIT;
    let mut answer = String::new();
    while answer.split(' ').next() != Some(expected) {
        assert!(
            Instant::now() < end,
            "{what}: `{expected}` is not answered, but `{answer}`\n{}",
            run.stderr()
        );
        thread::sleep(Duration::from_millis(10));
        answer = get(address, "/").unwrap_or_default();
    }
}

#[test]
fn every_edit_ends_in_the_right_program() {
    let seed = std::env::var("BIS_EDITS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let edits = if std::env::var_os("BIS_LONG").is_some() { EDITS_LONG } else { EDITS };
    let mut project = Project::new(seed);
    let run = Run::start(&project.app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    let mut unwaited = Vec::new();
    for edit in 1..=edits {
        unwaited.push(project.edit());
        // Sometimes the next edit comes before this one is built.
        if project.random.below(4) > 0 || edit == edits {
            let what = format!("seed {seed}, edit {edit}: {unwaited:#?}");
            wait_for(address, &run, &project.expected(), &what);
            unwaited.clear();
            if edit % 100 == 0 {
                eprintln!("seed {seed}: {edit} edits");
            }
        } else {
            project.random.pause();
        }
    }
}
