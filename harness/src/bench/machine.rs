//! Where it is measured.

use std::fs;

use super::results::Machine;

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let processors = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Machine {
            processor: field(&processors, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cpus: u32::try_from(vdi_region::usable_cpus()).unwrap_or(u32::MAX),
            memory: memory.unwrap_or(0) << 10,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value behind the first `name: `.
fn field(text: &str, name: &str) -> Option<String> {
    let value = |line: &str| {
        Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned())
    };
    text.lines().find_map(value)
}
