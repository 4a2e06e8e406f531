//! The disk that the servers write to: what a sync costs, and what was really written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;

/// Bytes written so far to the device with the temporary folder, after everything was flushed to it; 0 when the system does
/// not say. What a process is charged with (`/proc/self/io`) is no measure: large pages count as a whole.
pub fn written() -> f64 {
    Command::new("sync").status().unwrap();
    let device = fs::metadata(std::env::temp_dir()).unwrap().dev();
    // The kernel's encoding of small numbers, as in glibc's makedev(3).
    let (major, minor) = ((device >> 8 & 0xfff).to_string(), (device & 0xff).to_string());
    let stats = fs::read_to_string("/proc/diskstats").unwrap_or_default();
    let line = stats.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = line.into_iter().find(|fields| fields.len() > 9 && fields[0] == major && fields[1] == minor);
    // The tenth field: sectors of 512 bytes.
    line.and_then(|fields| fields[9].parse::<f64>().ok()).unwrap_or(0.0) * 512.0
}

/// What a sync of a small write costs here: what every durable figure rests on.
pub fn sync_latency() -> String {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![0; 4 << 20]).unwrap();
    file.sync_all().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            file.write_all(&[1; 4096]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    format!("p50 {:.2} ms, p99 {:.2} ms", times[100], times[198])
}
