//! A report folder.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ReportError, junit, page, tap};
use crate::conformance::results::{CaseResult, RunResults, VERSION, Verdict};

/// The files of a report folder.
pub const FILES: [&str; 4] = ["results.json", "junit.xml", "results.tap", "index.html"];

/// What `results.json` holds: one run, or several that are shown side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "results.json of vdisim")]
pub struct Report {
    /// The version of this form; it is raised when a field is renamed or goes away.
    pub version: u32,
    /// The runs, in the order of the columns.
    pub runs: Vec<RunResults>,
}

/// Events that the timelines of a report may have beyond those of cases in which something went
/// wrong. So many make a page that still opens at once.
const EVENTS: usize = 100_000;

impl Report {
    /// A report of these runs. Where their timelines would make it too large to look at, later cases
    /// that passed go without one.
    pub fn new(mut runs: Vec<RunResults>) -> Self {
        let mut left = EVENTS;
        let passed = |case: &&mut CaseResult| case.verdict == Verdict::Pass;
        for case in runs.iter_mut().flat_map(|run| &mut run.cases).filter(passed) {
            let events = case.timelines.iter().map(|timeline| timeline.events.len()).sum();
            match left.checked_sub(events) {
                Some(rest) => left = rest,
                None => case.timelines.clear(),
            }
        }
        Report { version: VERSION, runs }
    }

    /// Reads the `results.json` of a report folder, or the file itself.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let path = if path.is_dir() { path.join(FILES[0]) } else { path.to_owned() };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return Err(ReportError::Read { path, error }),
        };
        // The version first: a form of the future need not be readable as ours.
        let malformed = |error| ReportError::Malformed { path: path.clone(), error };
        let Version { version } = serde_json::from_str(&text).map_err(malformed)?;
        if version != VERSION {
            return Err(ReportError::Version { path, found: version, known: VERSION });
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// Writes all files of a report folder, which is made if need be. Each file is there in full or
    /// as it was before.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let failed = |path: &Path, error| ReportError::Write { path: path.to_owned(), error };
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        for (name, content) in
            FILES.into_iter().zip([self.json(), junit(self), tap(self), page(self)])
        {
            let path = folder.join(name);
            let part = folder.join(format!(".{name}.part"));
            fs::write(&part, content)
                .and_then(|()| fs::rename(&part, &path))
                .map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    fn json(&self) -> String {
        // Maps have strings for keys and numbers are finite, so that nothing can fail.
        let mut json = serde_json::to_string(self).unwrap_or_default();
        json.push('\n');
        json
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}
