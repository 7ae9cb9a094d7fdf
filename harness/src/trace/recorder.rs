//! Writing the server half's trace.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fake_sqlserver::transfer::{Event, Observer};
use serde_json::{Value, json};
use vdi_protocol::VdConfig;

use super::record::VERSION;

/// Writes the events of a transfer to a file.
#[derive(Debug)]
pub struct Trace {
    file: File,
}

impl Trace {
    /// Appends to the file, which is made if need be, and says which process this is.
    pub fn append(path: &Path) -> io::Result<Trace> {
        let trace = Trace { file: File::options().append(true).create(true).open(path)? };
        let program = std::env::current_exe().unwrap_or_default();
        trace.write(
            "process",
            &json!({"role": "server", "program": program.display().to_string(),
                    "vdisim": env!("CARGO_PKG_VERSION")}),
        );
        Ok(trace)
    }

    fn write(&self, name: &str, details: &Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = json!({
            "version": VERSION,
            "time": micros(now),
            "pid": std::process::id(),
            "event": name,
            "details": details,
        });
        // A full disk must not fail the transfer that is traced.
        let _ = (&self.file).write_all(format!("{line}\n").as_bytes());
    }
}

impl Observer for Trace {
    fn event(&self, event: &Event<'_>) {
        let (name, details) = describe(event);
        self.write(name, &details);
    }
}

impl Drop for Trace {
    /// The end of the recording; a process that is killed does not come here.
    fn drop(&mut self) {
        self.write("ended", &json!({}));
    }
}

fn describe(event: &Event<'_>) -> (&'static str, Value) {
    match event {
        Event::Attached { set, devices, asked } => {
            let devices: Vec<_> = devices.iter().map(|name| text(name)).collect();
            ("attached", json!({"set": text(set), "devices": devices, "asked": config(asked)}))
        }
        Event::Configured { chosen, buffer_count } => (
            "configured",
            json!({
                "features": chosen.features.to_string(),
                "blockSize": chosen.block_size,
                "alignment": chosen.effective_alignment(),
                "maxTransferSize": chosen.max_transfer_size,
                "bufferCount": buffer_count,
            }),
        ),
        Event::Opened => ("opened", json!({})),
        Event::Sent { device, n, code, size, position } => (
            "sent",
            json!({
                "device": device,
                "n": n,
                "command": code.to_string(),
                "size": size,
                "position": position,
            }),
        ),
        Event::Completed { device, n, code, completion, bytes, position, took } => (
            "completed",
            json!({
                "device": device,
                "n": n,
                "command": code.to_string(),
                "code": completion.0,
                "bytes": bytes,
                "position": position,
                "took": micros(*took),
            }),
        ),
        Event::Transferred => ("transferred", json!({})),
        Event::Fault { device, n, action } => {
            ("fault", json!({"device": device, "n": n, "action": action.to_string()}))
        }
        Event::Closed { device } => ("closed", json!({"device": device})),
        Event::Failed { cause } => ("failed", json!({"cause": cause.to_string()})),
        _ => ("other", json!({})),
    }
}

fn config(config: &VdConfig) -> Value {
    json!({
        "deviceCount": config.device_count,
        "features": config.features().to_string(),
        "prefixZoneSize": config.prefix_zone_size,
        "alignment": config.alignment,
        "softFileMarkBlockSize": config.soft_file_mark_block_size,
        "EOMWarningSize": config.eom_warning_size,
        "serverTimeOut": config.server_time_out,
    })
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
