//! What a started program starts dies with it: process groups, and job objects on Windows.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use vdisim::process::ProcessGroup;
use vdisim_tests::Scene;

/// A program that starts another, which goes on adding lines to the file, and ends itself if asked to.
fn parent(file: &Path, ends: bool) -> Command {
    let file = file.display();
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        let wait = if ends { "" } else { "/wait " };
        let mut command = Command::new("cmd");
        command.raw_arg(format!(
            "/c start {wait}/b cmd /c \"for /l %i in (0,0,1) do @echo x>>{file}\""
        ));
        command
    }
    #[cfg(not(windows))]
    {
        let wait = if ends { "" } else { "; wait" };
        let mut command = Command::new("sh");
        let child = format!("while :; do echo x >>'{file}'; sleep 0.01; done");
        command.arg("-c").arg(format!("sh -c \"{child}\" & {wait}").replace("& ;", "&"));
        command
    }
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |about| about.len())
}

fn await_growth(file: &Path) {
    let (before, end) = (length(file), Instant::now() + Duration::from_secs(60));
    while length(file) == before {
        assert!(Instant::now() < end, "nobody writes");
        sleep(Duration::from_millis(5));
    }
}

/// Catches: a group that holds its leader alone; a drop that kills nobody, or not the orphans.
#[test]
fn children_die_with_their_group() {
    for ends in [false, true] {
        let scene = Scene::new();
        let file = scene.path("lines");
        let mut group = ProcessGroup::spawn(&mut parent(&file, ends)).unwrap();
        await_growth(&file);
        if ends {
            let ended = group.wait_within(Duration::from_secs(60)).unwrap();
            assert!(ended.is_some(), "the leader goes on");
        }
        assert!(group.has_members());
        await_growth(&file);
        drop(group);
        // What was under way when they were killed.
        sleep(Duration::from_millis(300));
        let length_then = length(&file);
        sleep(Duration::from_millis(500));
        assert_eq!(length(&file), length_then, "a child outlived its group");
    }
}
