//! Python's drivers, by a script that is told what to do.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;

use rstest::rstest;
use vdisim_tests::python;

use crate::serving::*;
use crate::story::*;

/// The FreeTDS ODBC driver, where Debian and others put it.
fn freetds_odbc() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu/odbc", "aarch64-linux-gnu/odbc", "odbc", ""];
    let paths = folders.iter().map(|folder| Path::new("/usr/lib").join(folder));
    paths.map(|folder| folder.join("libtdsodbc.so")).find(|path| path.exists())
}

/// tests/clients/sql_client.py with one driver.
struct Python {
    child: Child,
    commands: ChildStdin,
    said: Receiver<String>,
    /// Whether it can cancel; else it is killed.
    cancels: bool,
}

impl Python {
    /// `Err` says why there is no such client.
    fn connect(serving: &Serving, driver: &str, tls: &str) -> Result<Python, String> {
        let python = python().ok_or("no Python with its clients: run scripts/setup")?;
        let certificate = serving.scene.path("certificate.pem");
        fs::write(&certificate, serving.found.certificate.clone().unwrap_or_default()).unwrap();
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/sql_client.py"))
            .args([driver, tls])
            .env("PORT", serving.address().port().to_string())
            .env("LOGIN", USER)
            .env("PASSWORD", PASSWORD)
            .env("PYTHONUTF8", "1")
            .env("CERTIFICATE", certificate)
            .env("FREETDS_ODBC", freetds_odbc().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let said = lines_of(child.stdout.take().unwrap());
        let mut client = Python { child, commands, said, cancels: driver == "pyodbc" };
        let first = client.next();
        match first.strip_prefix("cannot ") {
            Some(why) => Err(why.to_owned()),
            None => {
                assert_eq!(first, "connected");
                Ok(client)
            }
        }
    }

    fn next(&mut self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the client says something")
    }

    fn command(&mut self, verb: &str, batch: &str) {
        writeln!(self.commands, "{verb} {batch}").unwrap();
    }

    fn until_done(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.next() {
                line if line == "done" => return said,
                line => said.push(line),
            }
        }
    }
}

impl SqlClient for Python {
    fn run(&mut self, batch: &str) -> Vec<String> {
        self.command("run", batch);
        self.until_done()
    }

    fn cancel(mut self: Box<Self>, batch: &str, expected: &str) {
        self.command(if self.cancels { "cancel" } else { "run" }, batch);
        while !self.next().contains(expected) {}
        if self.cancels {
            let said = self.until_done().join("\n");
            assert!(said.contains("The backup or restore was aborted."), "{said}");
            // The connection is as good as new.
            assert_order(&self.run("SELECT 'still here'"), &["still here"]);
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// Catches: an answer that these drivers do not accept, progress that waits for the statement's end, a
// cancel or a lost connection that leaves a statement waiting for its VDI client.
#[rstest]
#[case::pytds("pytds", "off")]
#[case::pytds_tls("pytds", "full")]
#[case::pymssql("pymssql", "off")]
#[case::pymssql_login("pymssql", "login")]
#[case::pymssql_tls("pymssql", "full")]
#[case::pyodbc("pyodbc", "off")]
#[case::pyodbc_login("pyodbc", "login")]
#[case::pyodbc_tls("pyodbc", "full")]
#[case::mssql("mssql", "off")]
#[case::mssql_tls("mssql", "full")]
fn python_drivers(#[case] driver: &'static str, #[case] tls: &'static str) {
    watched(move || {
        let serving = Serving::start(stand(tls));
        if let Err(why) = Python::connect(&serving, driver, tls) {
            println!("SKIP {driver} with TLS {tls}: {why}");
            return;
        }
        story(serving, |serving| Box::new(Python::connect(serving, driver, tls).unwrap()));
    });
}
