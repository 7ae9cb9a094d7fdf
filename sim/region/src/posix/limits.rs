//! Room left: the tmpfs and the control groups, both generations.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};

use super::object::FOLDER;
use crate::MemoryLimits;

/// The error number for "no room".
pub(crate) const ENOSPC: i32 = libc::ENOSPC;

/// What bounds the objects, for a user.
pub(crate) const SHM_LIMIT: &str = "the file system /dev/shm";

/// The size of a page in bytes.
pub(crate) fn page_size() -> usize {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

/// See [`crate::memory_limits`].
pub(crate) fn memory_limits() -> MemoryLimits {
    MemoryLimits { shm_free: shm_free(), cgroup_free: cgroup_free() }
}

fn shm_free() -> Option<u64> {
    let about = statvfs(FOLDER).ok()?;
    // A tmpfs mounted with size=0 has no limit and says that it has no blocks.
    (about.blocks() > 0).then(|| about.blocks_available() as u64 * about.fragment_size() as u64)
}

/// The least room in any group from ours up to the root: each of them counts us.
fn cgroup_free() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    memory_hierarchies(&groups, &mounts)
        .iter()
        .flat_map(|(files, top, ours)| {
            let within = ours.ancestors().take_while(move |folder| folder.starts_with(top));
            within.filter_map(|folder| files.free(folder))
        })
        .min()
}

/// The files of a generation of control groups that count memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat` that count page cache. Shared memory is not among it: the kernel
    /// keeps tmpfs pages on the anonymous lists, as it cannot drop them.
    droppable: [&'static str; 2],
}

const V2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    droppable: ["inactive_file", "active_file"],
};
const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: ["total_inactive_file", "total_active_file"],
};

impl Files {
    /// Bytes left in one group; `None` if it has no limit.
    fn free(self, folder: &Path) -> Option<u64> {
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
        let limit: u64 = read(self.limit)?.trim().parse().ok()?; // "max" is no number
        // The first generation writes "no limit" as the largest number of whole pages.
        if limit > i64::MAX as u64 / 2 {
            return None;
        }
        let usage: u64 = read(self.usage)?.trim().parse().ok()?;
        let droppable = read("memory.stat").map_or(0, |stat| self.droppable_bytes(&stat));
        Some(limit.saturating_sub(usage.saturating_sub(droppable)))
    }

    fn droppable_bytes(self, stat: &str) -> u64 {
        stat.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(key, _)| self.droppable.contains(key))
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .fold(0, u64::saturating_add)
    }
}

/// The mounted hierarchies that count memory: their files, their top folder here, our group's folder.
fn memory_hierarchies(groups: &str, mounts: &str) -> Vec<(Files, PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        // "0::/path" is the second generation, "4:memory,cpu:/path" the first.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let files = match controllers {
            "" => V2,
            list if list.split(',').any(|controller| controller == "memory") => V1,
            _ => continue,
        };
        for mount in mounts.lines().filter_map(Mount::parse).filter(|mount| mount.serves(files)) {
            let top = PathBuf::from(mount.folder);
            // A container sees its own group as the root of the mount, or the mount rooted at it.
            let below = Path::new(group).strip_prefix(mount.root).unwrap_or(Path::new(""));
            let ours = top.join(below.strip_prefix("/").unwrap_or(below));
            found.push((files, top, ours));
        }
    }
    found
}

/// A line of `/proc/self/mountinfo`.
struct Mount<'a> {
    root: &'a str,
    folder: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        // Before the lone hyphen there may be any number of optional fields.
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, folder) = (place.next()?, place.next()?);
        let mut what = what.split(' ');
        let (kind, _source, options) = (what.next()?, what.next()?, what.next()?);
        Some(Mount { root, folder, kind, options })
    }

    fn serves(&self, files: Files) -> bool {
        match self.kind {
            "cgroup2" => files == V2,
            "cgroup" => files == V1 && self.options.split(',').any(|option| option == "memory"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 1 0:22 / /proc rw - proc proc rw
31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
41 31 0:30 /docker/abc /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,memory
42 31 0:31 /docker/abc /sys/fs/cgroup/cpu ro master:12 - cgroup cgroup rw,cpu,cpuacct";

    #[test]
    fn both_generations_are_found_where_they_are_mounted() {
        let groups = "0::/user.slice/a.scope\n7:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc/x\n";
        let cgroup = Path::new("/sys/fs/cgroup");
        assert_eq!(
            memory_hierarchies(groups, MOUNTS),
            [
                (V2, cgroup.to_owned(), cgroup.join("user.slice/a.scope")),
                (V1, cgroup.join("memory"), cgroup.join("memory/x")),
            ]
        );
    }

    /// Catches: looking at our own group only; taking page cache for used memory; reading "max" as 0.
    #[test]
    fn the_tightest_group_on_the_way_up_counts_and_page_cache_is_free() {
        let top = tempfile::tempdir().unwrap();
        let ours = top.path().join("parent/ours");
        std::fs::create_dir_all(&ours).unwrap();
        let write = |folder: &Path, file: &str, text: &str| {
            std::fs::write(folder.join(file), text).unwrap();
        };
        write(&ours, "memory.max", "max\n");
        write(&ours, "memory.current", "900\n");
        let parent = top.path().join("parent");
        write(&parent, "memory.max", "1000\n");
        write(&parent, "memory.current", "900\n");
        write(&parent, "memory.stat", "anon 1\ninactive_file 200\nactive_file 50\nshmem 7\n");
        assert_eq!(V2.free(&ours), None);
        assert_eq!(V2.free(&parent), Some(350));
        assert_eq!(V2.free(top.path()), None, "the root has no such files");
    }

    #[test]
    fn this_machine_has_a_limit_on_shared_memory() {
        let limits = memory_limits();
        assert!(limits.shm_free.is_some_and(|free| free > 0), "{limits:?}");
    }
}
