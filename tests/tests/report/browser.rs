//! A headless Chromium, driven over its DevTools protocol through two pipes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdisim::process::ProcessGroup;

/// After so long the browser counts as hanging.
const WATCHDOG: Duration = Duration::from_secs(120);

const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--window-size=1360,900",
    "--remote-debugging-pipe",
];

/// A browser with one page.
pub(crate) struct Browser {
    to: File,
    from: BufReader<File>,
    session: String,
    last: u64,
    /// What went wrong in the page or was fetched by it.
    pub(crate) complaints: Vec<String>,
    ended: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Opens a page, or says by name that the test is skipped because there is no browser.
    pub(crate) fn open(page: &Path) -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there =
            |name: &&&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let Some(program) = PROGRAMS.iter().find(there) else {
            println!("SKIP page in a browser: no Chromium on PATH (Debian: chromium)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            path
        };
        let (commands, answers) = (pipe("commands"), pipe("answers"));
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$COMMANDS\" 4>\"$ANSWERS\"", program])
            .args(FLAGS);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.env("COMMANDS", &commands).env("ANSWERS", &answers);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let group = ProcessGroup::spawn(&mut command).unwrap();
        let to = File::options().write(true).open(&commands).unwrap();
        let from = BufReader::new(File::open(&answers).unwrap());
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        // Ends the browser with the test, or when it hangs; then the pipe ends, too.
        let keeper = std::thread::spawn(move || {
            let start = Instant::now();
            while !over.load(Ordering::Relaxed) && start.elapsed() < WATCHDOG {
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(group);
        });
        let (session, complaints) = Default::default();
        let mut browser = Browser {
            to,
            from,
            session,
            last: 0,
            complaints,
            ended,
            keeper: Some(keeper),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.navigate", json!({"url": format!("file://{}", page.display())}));
        browser.wait_for("document.readyState === 'complete' && document.getElementById('rows')?.children.length > 0");
        Some(browser)
    }

    /// Calls the protocol and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert!(bytes.pop() == Some(0), "Chromium ended while it was asked for {method}");
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" | "Log.entryAdded" => {
                self.complaints.push(params.to_string())
            }
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                if !url.ends_with("/index.html") && !url.contains("/index.html#") {
                    self.complaints.push(format!("fetched {url}"));
                }
            }
            _ => {}
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let mut result =
            self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    pub(crate) fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn number(&mut self, expression: &str) -> i64 {
        self.value(expression).as_i64().unwrap_or(-1)
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(start.elapsed() < WATCHDOG, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Presses a key as a person does.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            "Tab" => 9,
            other => i64::from(other.to_uppercase().as_bytes()[0]),
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        match key {
            "Enter" => down["text"] = "\r".into(),
            key if key.chars().count() == 1 => down["text"] = key.into(),
            _ => {}
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// Types a text into what has the focus.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses the mouse's button over an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.keeper.take().map(JoinHandle::join);
    }
}
