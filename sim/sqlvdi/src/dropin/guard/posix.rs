//! The memory map of Linux, and its write(2).

use super::Module;

/// The executable parts of this process's files.
pub(super) fn modules() -> Vec<Module> {
    executable(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default())
}

/// One call; async-signal-safe.
pub(super) fn write_to_stderr(bytes: &[u8]) {
    // SAFETY: the bytes are the caller's own. A client that closed its stderr does not hear us.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// The executable parts of a process's memory map. Source: proc_pid_maps(5).
fn executable(maps: &str) -> Vec<Module> {
    let mut bases: Vec<(&str, usize)> = Vec::new();
    let mut modules = Vec::new();
    for line in maps.lines() {
        let mut fields = line.splitn(6, ' ');
        let range = fields.next().and_then(|range| range.split_once('-'));
        let (Some((begin, end)), Some(rights)) = (range, fields.next()) else { continue };
        let path = fields.nth(3).unwrap_or_default().trim_start();
        let number = |hex| usize::from_str_radix(hex, 16).unwrap_or(0);
        let (begin, end) = (number(begin), number(end));
        if !bases.iter().any(|(known, _)| *known == path) {
            bases.push((path, begin));
        }
        if rights.contains('x') {
            let base = bases.iter().find(|(known, _)| *known == path).map_or(begin, |(_, it)| *it);
            // It stands between quotation marks in a trace.
            let path = path.replace(['"', '\\'], "?");
            modules.push(Module { begin, end, base, path });
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: taking the code's own mapping for the file's first, losing a path with spaces.
    #[test]
    fn an_instruction_is_found_in_its_file() {
        let maps = "55d0a000-55d0b000 r--p 00000000 08:01 7    /a b/client\n\
                    55d0b000-55d0d000 r-xp 00001000 08:01 7    /a b/client\n\
                    7f000000-7f001000 rw-p 00000000 00:00 0 \n";
        let modules = executable(maps);
        assert_eq!(modules.len(), 1);
        let Module { begin, end, base, path } = &modules[0];
        assert_eq!((*begin, *end, *base), (0x55d0_b000, 0x55d0_d000, 0x55d0_a000));
        assert_eq!(path, "/a b/client");
    }
}
