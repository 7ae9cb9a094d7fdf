//! FreeTDS's own client.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use rstest::rstest;

use crate::serving::*;
use crate::story::*;

/// FreeTDS's own client: a process a batch.
struct Tsql {
    folder: PathBuf,
    batches: usize,
}

impl Tsql {
    fn connect(serving: &Serving, encryption: &str) -> Tsql {
        let folder = serving.scene.path("tsql");
        fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            "[here]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = {encryption}\n\
             client charset = UTF-8\n",
            serving.address().port()
        );
        fs::write(folder.join("freetds.conf"), settings).unwrap();
        Tsql { folder, batches: 0 }
    }

    /// Starts it; its rows and messages come as lines.
    fn start(&mut self, batch: &str) -> (Child, Receiver<String>) {
        self.batches += 1;
        let input = self.folder.join(format!("input-{}", self.batches));
        fs::write(&input, format!("{batch}\ngo\n")).unwrap();
        let script = "exec tsql -S here -U \"$0\" -P \"$1\" 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, USER, PASSWORD])
            .env("FREETDSCONF", self.folder.join("freetds.conf"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(File::open(input).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        (child, lines)
    }
}

impl SqlClient for Tsql {
    fn run(&mut self, batch: &str) -> Vec<String> {
        let (mut child, lines) = self.start(batch);
        let said = lines.iter().collect();
        child.wait().unwrap();
        said
    }

    fn cancel(mut self: Box<Self>, batch: &str, expected: &str) {
        let (mut child, lines) = self.start(batch);
        while !lines.recv_timeout(PATIENCE).expect("tsql says something").contains(expected) {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

// Catches: what FreeTDS's own client does not accept, and a statement that outlives a killed client.
#[rstest]
#[case("off", "off")]
#[case("require", "full")]
fn freetds_tsql(#[case] encryption: &'static str, #[case] tls: &'static str) {
    watched(move || {
        if Command::new("tsql").arg("-C").output().is_err() {
            println!("SKIP FreeTDS tsql: it is not on PATH: run scripts/setup");
            return;
        }
        let serving = Serving::start(stand(tls));
        story(serving, |serving| Box::new(Tsql::connect(serving, encryption)));
    });
}
