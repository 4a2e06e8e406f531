//! What the system says about this process: memory, processor time, descriptors. On systems without `/proc` all is zero.

use std::fs;

/// The unit of processor time in `/proc`: `USER_HZ`, which Linux has fixed at 100 for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// One look at the process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    /// Resident memory that no file backs: heap and stacks.
    pub(super) anonymous_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_descriptors: u64,
    pub(super) threads: u64,
}

/// Looks now.
pub(super) fn read() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let open_descriptors = fs::read_dir("/proc/self/fd").map_or(0, |folder| folder.count() as u64);
    Process { open_descriptors, ..parse(&status, &stat) }
}

fn parse(status: &str, stat: &str) -> Process {
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse().ok());
        number.unwrap_or_default()
    };
    // The program's name is in brackets and may hold anything. User and system time are the 12th and 13th word after it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Process {
        resident_bytes: number("VmRSS") * 1024,
        virtual_bytes: number("VmSize") * 1024,
        anonymous_bytes: number("RssAnon") * 1024,
        cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
        open_descriptors: 0,
        threads: number("Threads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let status =
            "Name:\tbis\nVmSize:\t  2000 kB\nVmRSS:\t    300 kB\nRssAnon:\t     200 kB\nThreads:\t7\n";
        let stat = "42 (bis ) router) S 1 2 3 0 -1 4 5 6 7 8 150 50 0 0 20 0 7 0 99 1 2";
        let expected = Process {
            resident_bytes: 300 * 1024,
            virtual_bytes: 2000 * 1024,
            anonymous_bytes: 200 * 1024,
            cpu_seconds: 2.0,
            open_descriptors: 0,
            threads: 7,
        };
        assert_eq!(parse(status, stat), expected);
        assert_eq!(parse("", ""), Process::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let process = read();
        assert!(
            process.resident_bytes >= process.anonymous_bytes && process.anonymous_bytes > 0,
            "{process:?}"
        );
        assert!(process.open_descriptors > 2 && process.threads > 0, "{process:?}");
    }
}
